"""Tiny random encoders with a classifier, as transformers publishes them, or as sentence-transformers publishes encoders without one, and their outputs.

    python3 make.py [NAME ...]     needs torch 2.15.0, transformers 4.57.6, sentence-transformers 5, safetensors

A folder each: config.json as save_pretrained writes it, model.safetensors, golden.safetensors with inputs (`item/in/NAME`) and the score
(`item/out/utility_logit`). Weights are large enough for every eps, activation and mask to show in the score.
"""
import json, os, sys
import torch
from safetensors.torch import load_file, save_file
import transformers as tf

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = dict(vocab_size=37, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=17, max_position_embeddings=22)
CASES = {
    "bert": tf.BertConfig(**SIZES, type_vocab_size=2, hidden_act="gelu_new", num_labels=1),
    "bert-three-labels": tf.BertConfig(**SIZES, type_vocab_size=2, layer_norm_eps=1e-5, id2label={0: "low", 1: "middling", 2: "high"}),
    "roberta": tf.RobertaConfig(**SIZES, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=1),
    "distilbert": tf.DistilBertConfig(vocab_size=37, dim=12, n_layers=2, n_heads=3, hidden_dim=17, max_position_embeddings=22, num_labels=1),
    "electra": tf.ElectraConfig(**SIZES, embedding_size=8, type_vocab_size=2, num_labels=1),
    "deberta-v3": tf.DebertaV2Config(**SIZES, type_vocab_size=0, relative_attention=True, position_buckets=4, norm_rel_ebd="layer_norm",
                                     share_att_key=True, pos_att_type="p2c|c2p", position_biased_input=False, num_labels=1),
    "deberta-v2": tf.DebertaV2Config(**SIZES, embedding_size=12, type_vocab_size=2, relative_attention=True, max_relative_positions=9, pos_att_type=["c2p"],
                                     conv_kernel_size=3, conv_act="gelu", pooler_hidden_act="tanh", layer_norm_eps=1e-5, num_labels=1),
    "mpnet": tf.MPNetConfig(**{**SIZES, "max_position_embeddings": 160}, layer_norm_eps=1e-5, num_labels=1),
}
SENTENCES = {  # the encoder, its poolings, whether embeddings are normed, the longest text
    "sentence-bert": (tf.BertConfig(**SIZES, type_vocab_size=2), ["mean", "weightedmean"], True, 15),
    "sentence-mpnet": (tf.MPNetConfig(**{**SIZES, "max_position_embeddings": 31}), ["cls", "max", "lasttoken", "mean_sqrt_len_tokens"], False, None),
}


def trained(model):
    """Weights large enough for every detail to show in the outputs."""
    for key, p in model.named_parameters():
        with torch.no_grad():
            p.normal_(0, 0.5 if p.dim() > 1 else 0.2)
            if "orm.weight" in key: p.add_(1)
    return model.eval()


def inputs(config, lengths):
    pad, tokens = config.pad_token_id, max(lengths)
    mask = (torch.arange(tokens)[None] < torch.tensor(lengths)[:, None]).long()
    feeds = {"input_ids": torch.where(mask == 1, torch.randint(5, 37, (3, tokens)), pad), "attention_mask": mask}
    if getattr(config, "type_vocab_size", 0) > 1:
        feeds["token_type_ids"] = (torch.arange(tokens)[None] >= torch.tensor([5, 3, 2])[:, None]).long() * mask
    return feeds


def save(folder, feeds, output, values):
    save_file({**{f"item/in/{k}": v for k, v in feeds.items()}, f"item/out/{output}": values.contiguous()}, os.path.join(folder, "golden.safetensors"))
    print(os.path.basename(folder), values.flatten()[:3].tolist())


@torch.no_grad()
def make(name, config):
    torch.manual_seed(sum(map(ord, name)))
    model = trained(tf.AutoModelForSequenceClassification.from_config(config))
    folder = os.path.join(HERE, name)
    model.save_pretrained(folder)
    path = os.path.join(folder, "model.safetensors")
    if name == "bert":  # as very old files name them, and with a buffer that newer ones leave out
        tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v.clone() for k, v in load_file(path).items()}
        save_file({**tensors, "bert.embeddings.position_ids": torch.arange(22)[None]}, path, {"format": "pt"})
    feeds = inputs(config, [157, 7, 4] if name == "mpnet" else [11, 7, 4])
    save(folder, feeds, "utility_logit", model(**feeds).logits[:, 2 if name == "bert-three-labels" else 0])


@torch.no_grad()
def make_sentence(name, config, modes, normed, longest):
    from sentence_transformers.models import Normalize, Pooling
    torch.manual_seed(sum(map(ord, name)))
    model = trained(tf.AutoModel.from_config(config))
    folder = os.path.join(HERE, name)
    model.save_pretrained(folder)
    steps = [Pooling(config.hidden_size, pooling_mode=tuple(modes)), *([Normalize()] if normed else [])]
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    steps[0].save(os.path.join(folder, "1_Pooling"))
    names = ["Transformer", *(type(step).__name__ for step in steps)]
    modules = [{"idx": i, "name": str(i), "path": f"{i}_{each}" if i else "", "type": f"sentence_transformers.models.{each}"} for i, each in enumerate(names)]
    for file, value in (("modules.json", modules), ("sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})):
        with open(os.path.join(folder, file), "w") as f: f.write(json.dumps(value, indent=1) + "\n")
    feeds = inputs(config, [11, 7, 4])
    state = {"token_embeddings": model(**feeds).last_hidden_state, "attention_mask": feeds["attention_mask"]}
    for step in steps: state = step(state)
    save(folder, feeds, "embedding", state["sentence_embedding"])


wanted = sys.argv[1:] or [*CASES, *SENTENCES]
for name in wanted:
    if name in CASES: make(name, CASES[name])
    else: make_sentence(name, *SENTENCES[name])
