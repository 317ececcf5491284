"""Three small tokenizers in tokenizers/, and vectors-text.json: the ids that Hugging Face tokenizers gives for texts.

Each tokenizer is trained here. `encode_special_tokens` is on: special tokens written in a text are ordinary text.
The Unigram vocabulary holds `<s>` and `</s>` as pieces too, which the library finds in texts nevertheless; such texts have no
vectors for it (the test asks only that no special id comes out).
"""
import json
import pathlib

import tokenizers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "tokenizers"

CORPUS = [
    "Which picture looks cleaner, the left one or the right one?",
    "The sunset over the harbour is vibrant, and the water reflects it.",
    "A dog runs through the snow; its owner doesn't follow.",
    "Der Hund läuft durch den Schnee, und über der Stadt wird es Abend.",
    "写真はきれいです。 猫が窓辺で眠っている。",
    "Preferences of 12 raters, 3.5 stars out of 5, were collected in 2024.",
    "I can't tell them apart -- can you? They're the same!",
] * 20

TEXTS = [
    "Which looks cleaner?",
    "  The   dog\tdoesn't\nrun. ",
    "Café naïve über Straße ÅNGSTRÖM",
    "cafe\u0301 decomposed",
    "写真 猫が3匹",
    "👩‍👩‍👧‍👦 family 🏳️‍🌈 flag 👍🏽",
    "שלום עולם مرحبا",
    "\u0301\u0302\u0303\u0304",
    "constructor __proto__ toString hasOwnProperty",
    "3.14159 2024-11-23 1,000,000 x=y*z",
    "unseen: qzxj ϗ ꙮ \u200b zero width",
    "a" * 150,
    "the " * 40,
    "\u00a0non\u00a0breaking\u3000wide",
]
WRITTEN = ["Say [SEP] or [CLS] and [PAD].", "<s> one </s> two <|endoftext|> three", "[SEP]", "<|endoftext|><|endoftext|>"]


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=260, special_tokens=special))
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def byte_bpe():
    """As CLIP's and GPT-2's: bytes, merges, one token at the end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    end = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", end)]),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def unigram():
    """As XLM-R's and SigLIP's."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=260, special_tokens=special, unk_token="<unk>", shrinking_factor=0.8))
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


MAX_TOKENS = 24


def vectors_of(name, tokenizer):
    tokenizer.encode_special_tokens = True
    texts = TEXTS if name == "unigram" else TEXTS + WRITTEN
    encoded = []
    for text in texts:
        tokenizer.no_truncation()
        whole = tokenizer.encode(text).ids
        tokenizer.enable_truncation(MAX_TOKENS)
        encoded.append({"text": text, "ids": tokenizer.encode(text).ids, "truncated": len(whole) > MAX_TOKENS})
    return encoded


def main():
    FOLDER.mkdir(exist_ok=True)
    vectors = {"versions": {"tokenizers": tokenizers.__version__}, "maxTokens": MAX_TOKENS, "written": WRITTEN, "encoded": {}}
    for name, tokenizer in [("word-piece", word_piece()), ("byte-bpe", byte_bpe()), ("unigram", unigram())]:
        (FOLDER / f"{name}.json").write_text(tokenizer.to_str(), encoding="utf8")
        vectors["encoded"][name] = vectors_of(name, tokenizer)
    (HERE / "vectors-text.json").write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n", encoding="utf8")


if __name__ == "__main__":
    main()
