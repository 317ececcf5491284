"""Tiny random encoders with a classifier, as transformers publishes them, and their outputs.

    python3 make.py        needs torch 2.15.0, transformers 4.57.6, safetensors

A folder each: config.json as save_pretrained writes it, model.safetensors, golden.safetensors with inputs (`item/in/NAME`) and the score
(`item/out/utility_logit`). Weights are large enough for every eps, activation and mask to show in the score.
"""
import os
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
}


def make(name, config):
    torch.manual_seed(sum(map(ord, name)))
    model = tf.AutoModelForSequenceClassification.from_config(config).eval()
    for key, p in model.named_parameters():
        with torch.no_grad():
            p.normal_(0, 0.5 if p.dim() > 1 else 0.2)
            if "orm.weight" in key: p.add_(1)
    folder = os.path.join(HERE, name)
    model.save_pretrained(folder)
    path = os.path.join(folder, "model.safetensors")
    if name == "bert":  # as very old files name them, and with a buffer that newer ones leave out
        tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v.clone() for k, v in load_file(path).items()}
        save_file({**tensors, "bert.embeddings.position_ids": torch.arange(22)[None]}, path, {"format": "pt"})
    lengths, pad = [11, 7, 4], config.pad_token_id
    ids = torch.randint(5, 37, (3, 11))
    mask = (torch.arange(11)[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.where(mask == 1, ids, pad)
    types = (torch.arange(11)[None] >= torch.tensor([5, 3, 2])[:, None]).long() * mask
    feeds = {"input_ids": ids, "attention_mask": mask}
    if getattr(config, "type_vocab_size", 0) > 1: feeds["token_type_ids"] = types
    with torch.no_grad(): logits = model(**feeds).logits
    score = logits[:, 2 if name == "bert-three-labels" else 0]
    save_file({**{f"item/in/{k}": v for k, v in feeds.items()}, "item/out/utility_logit": score.contiguous()}, os.path.join(folder, "golden.safetensors"))
    print(name, score.tolist())


for name, config in CASES.items(): make(name, config)
