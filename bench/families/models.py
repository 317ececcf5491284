"""A classifier of BERT-base's size and a CLIP of ViT-B/32's, published as transformers does, with seeded random weights of the size of
trained ones, and 200 pairs of rows for each: models.py OUT ROWS

Weights of initialisation would give every text nearly the same score: here scores are some units apart, so that a flip means something."""
import json
import os
import sys

import numpy as np
import torch
import transformers as tf
from PIL import Image
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

out, rows = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
LETTERS = list("etaoinshrdlucmfwypvbgkjqxz")
WORDS = ["".join(rng.choice(LETTERS, size=rng.integers(2, 9))) for _ in range(6000)]
ZIPF = 1 / np.arange(1, len(WORDS) + 1)


def text(low, high):
    return " ".join(rng.choice(WORDS, size=rng.integers(low, high), p=ZIPF / ZIPF.sum())) + "."


@torch.no_grad()
def trained(model):
    """Matrices that keep the size of what passes them, with a few strong directions, as training leaves them."""
    generator = torch.Generator().manual_seed(0)
    for name, p in model.named_parameters():
        if p.ndim >= 2:
            scale = 0.05 if "embed" in name else 1 / p[0].numel() ** 0.5
            p.copy_(torch.randn(p.shape, generator=generator) * scale)
        elif "bias" in name:
            p.copy_(torch.randn(p.shape, generator=generator) * 0.02)
    return model.eval()


def dump_pairs(folder, pairs):
    """The pairs that are scored, and rows that quantizing is calibrated on and judged by: others."""
    for name, lines in (("pairs", pairs[: len(pairs) - 64]), ("calibration", pairs[len(pairs) - 64 :])):
        with open(f"{folder}/{name}.jsonl", "w") as f:
            f.writelines(json.dumps(line) + "\n" for line in lines)


def bert(folder):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator((text(50, 100) for _ in range(2000)), trainers.WordPieceTrainer(vocab_size=8000, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special))
    tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, model_input_names=["input_ids", "token_type_ids", "attention_mask"], **names).save_pretrained(folder)
    model = trained(tf.BertForSequenceClassification(tf.BertConfig(num_labels=1)))
    look_where_texts_differ(model, tokenizer)
    model.save_pretrained(folder)
    pairs = [{"id": str(i), "type": "pairwise_text", "context": text(8, 24), "left": text(20, 90), "right": text(20, 90)} for i in range(rows + 80)]
    dump_pairs(folder, pairs)


@torch.no_grad()
def look_where_texts_differ(model, tokenizer):
    """A classifier of the direction in which texts differ most, scores 2 units wide, as training finds one: of a random direction the
    scores of all texts are nearly the same, and what quantizing changes is as large as what tells them apart."""
    rows = [tokenizer.encode(text(8, 24), text(20, 90)) for _ in range(64)]
    pooled = torch.cat([model.bert(torch.tensor([row.ids]), token_type_ids=torch.tensor([row.type_ids])).pooler_output for row in rows])
    centred = pooled - pooled.mean(0)
    direction = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    model.classifier.weight.copy_(direction[None] * 2 / (centred @ direction).std())
    model.classifier.bias.copy_(-model.classifier.weight @ pooled.mean(0))


def picture(path):
    """Smooth shapes and a little noise, 640 x 480."""
    y, x = np.mgrid[0:480, 0:640] / 480
    waves = sum(rng.uniform(10, 40) * np.sin(rng.uniform(2, 30) * x[..., None] + rng.uniform(2, 30) * y[..., None] + rng.uniform(0, 6, 3)) for _ in range(4))
    Image.fromarray(np.clip(rng.uniform(60, 200, 3) + waves + rng.normal(0, 6, (480, 640, 3)), 0, 255).astype(np.uint8)).save(path, quality=92)


def clip(folder):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: i for i, token in enumerate([*alphabet, *(c + "</w>" for c in alphabet), "th", "<|startoftext|>", "<|endoftext|>"])}
    with open(folder + "/vocab.json", "w") as f: json.dump(vocab, f)
    with open(folder + "/merges.txt", "w") as f: f.write("#version: 0.2\nt h\n")
    tokenizer = tf.CLIPTokenizerFast(folder + "/vocab.json", folder + "/merges.txt", model_max_length=77)
    tf.CLIPProcessor(tf.CLIPImageProcessor(), tokenizer).save_pretrained(folder)
    config = tf.CLIPConfig(text_config={"vocab_size": 49408, "eos_token_id": vocab["<|endoftext|>"], "bos_token_id": vocab["<|startoftext|>"], "pad_token_id": vocab["<|endoftext|>"]})
    model = trained(tf.CLIPModel(config))
    model.save_pretrained(folder)
    for i in range(2 * rows): picture(f"{folder}/{i}.jpg")
    pairs = []
    for i in range(rows + 80):
        prompt = text(4, 9)
        left, right = ({"image": f"{j % (2 * rows)}.jpg", "text": prompt} for j in (2 * i, 2 * i + 1))
        pairs.append({"id": str(i), "type": "pairwise_image_text", "left": left, "right": right})
    dump_pairs(folder, pairs)


for name, make in (("bert-base", bert), ("vit-b-32", clip)):
    os.makedirs(f"{out}/{name}", exist_ok=True)
    make(f"{out}/{name}")
