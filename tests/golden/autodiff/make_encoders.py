"""Gradients of the score of encoders with a classifier by transformers and PyTorch, of the fixtures of ../encoders at their golden inputs:
encoders.json, as make_models.py has it.

    python make_encoders.py        (torch 2.15, transformers 4.57.6, float32)
"""
from pathlib import Path

import torch
import transformers as tf

HERE = Path(__file__).parent
from make import OUTPUT_SEED, sequence
from make_decoders import summary, write
from safetensors.torch import load_file

NAMES = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "deberta-v3", "mpnet")

result = {}
for name in NAMES:
    folder = HERE.parent / "encoders" / name
    model = tf.AutoModelForSequenceClassification.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="eager").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding): module.padding_idx = None  # PyTorch would leave out the gradient of the row of padding
    golden = load_file(folder / "golden.safetensors")
    feeds = {key.removeprefix("item/in/"): value for key, value in golden.items() if key.startswith("item/in/")}
    score = model(**feeds).logits[:, 0]
    off = (score - golden["item/out/utility_logit"]).abs().max()
    assert off < 1e-4, (name, off)
    loss = (score * torch.tensor(sequence(score.numel(), OUTPUT_SEED, -1, 1)).float()).sum()
    loss.backward()
    stored = load_file(folder / "model.safetensors")  # old files call the weights of norms gamma and beta
    named = lambda key: key if key in stored else key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    result[name] = {"loss": loss.item(), "parameters": {named(key): summary(p.grad) for key, p in model.named_parameters() if p.grad is not None}}

write("encoders", result)
