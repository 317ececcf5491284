"""Gradients of decoders by transformers and PyTorch, of the fixtures of ../decoders at their golden inputs: decoders.json, as make_models.py has it.

    python make_decoders.py        (torch 2.15, transformers 4.57.6, float32)
"""
import json
from pathlib import Path

import torch
import transformers as tf

HERE = Path(__file__).parent
from make import OUTPUT_SEED, sequence
from safetensors.torch import load_file

NAMES = ("llama", "qwen2-window", "qwen3", "mistral", "gemma2")


def summary(gradient):
    flat = gradient.reshape(-1).double()
    along = [(flat * torch.tensor(sequence(flat.numel(), seed, -1, 1), dtype=torch.float64)).sum().item() for seed in (1, 2)]
    return [float(f"{value:.8g}") for value in (flat.norm().item(), *along)]


def write(name, result):
    rows = lambda values: ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in values.items())
    text = ",\n".join(f'{json.dumps(name)}:{{"loss":{entry["loss"]},\n"parameters":{{{rows(entry["parameters"])}}},"inputs":{{}}}}' for name, entry in result.items())
    (HERE / f"{name}.json").write_text("{" + text + "}\n")
    print({name: (entry["loss"], len(entry["parameters"])) for name, entry in result.items()})


if __name__ == "__main__":
    result = {}
    for name in NAMES:
        folder = HERE.parent / "decoders" / name
        config = tf.AutoConfig.from_pretrained(folder)
        config.rope_theta = getattr(config, "rope_parameters", config.to_dict()).get("rope_theta", config.rope_theta)  # as transformers 5 spells it
        model = tf.AutoModelForSequenceClassification.from_pretrained(folder, config=config, torch_dtype=torch.float32, attn_implementation="eager").eval()
        model.model.embed_tokens.padding_idx = None  # PyTorch would leave out the gradient of the row of padding
        golden = load_file(folder / "golden.safetensors")
        ids, mask = golden["item/in/input_ids"], golden["item/in/attention_mask"]
        states = model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        last = torch.where(ids != model.config.pad_token_id, torch.arange(ids.shape[1]), -1).amax(1)
        embedding = states[torch.arange(len(ids)), last]
        outputs = {"embedding": embedding, "utility_logit": model.score(embedding)[:, 0]}
        off = (outputs["utility_logit"] - golden["item/out/utility_logit"]).abs().max()
        assert off < 1e-4, (name, off)
        loss = sum((outputs[key] * torch.tensor(sequence(outputs[key].numel(), OUTPUT_SEED + k, -1, 1)).float().reshape(outputs[key].shape)).sum()
                   for k, key in enumerate(sorted(outputs)))
        loss.backward()
        result[name] = {"loss": loss.item(), "parameters": {key: summary(p.grad) for key, p in model.named_parameters() if p.grad is not None}}
    write("decoders", result)
