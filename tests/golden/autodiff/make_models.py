"""Gradients of whole models by PyTorch: a checkpoint and its golden inputs, every modality. The pico model of ../hpsv3 gives models.json,
the nano model beside the project, by `python make_models.py ../../../../shared/fixtures/hpsv3-nano nano.json`, nano.json.

The loss is the sum of all outputs, each times a `sequence` (as in make.py, seed 97 + place of the output by name). Of each gradient
only its norm and its products with two sequences are stored, which no wrong element leaves as they are; of an input the same.
Run: python make_models.py [FOLDER OUT]        (torch 2.15, float64)
"""
import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent.parent / "reference"))
import hpsv3_torch as ref
from make import OUTPUT_SEED, sequence


def read_safetensors(path):
    raw = path.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    head, tensors = json.loads(raw[8 : 8 + size]), {}
    types = {"F16": torch.float16, "F32": torch.float32, "I64": torch.int64}
    for name, info in head.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + at for at in info["data_offsets"])
        tensors[name] = torch.frombuffer(bytearray(raw[begin:end]), dtype=types[info["dtype"]]).reshape(info["shape"])
    return tensors


def wide(tensors):
    return {key: value.double() if value.is_floating_point() else value for key, value in tensors.items()}


def summary(gradient):
    flat = gradient.reshape(-1).double()
    along = [(flat * torch.tensor(sequence(flat.numel(), seed, -1, 1), dtype=torch.float64)).sum().item() for seed in (1, 2)]
    return [float(f"{value:.8g}") for value in (flat.norm().item(), *along)]


source, out = (Path(sys.argv[1]), Path(sys.argv[2])) if len(sys.argv) > 2 else (HERE.parent / "hpsv3", HERE / "models.json")
config = ref.Config(**json.loads((source / "config.json").read_text()))
golden = read_safetensors(source / "golden.safetensors")
model = ref.HPSv3(config).double().eval()
model.load_state_dict(wide(read_safetensors(source / "checkpoint.safetensors")))

result = {}
for modality, keys in ref.MODALITY_INPUTS.items():
    for mode in ("item", "pair"):
        model.zero_grad()
        prefix = f"{modality}/in/" if mode == "item" else f"{modality}/pair/in/"
        inputs = wide({key[len(prefix):]: value for key, value in golden.items() if key.startswith(prefix)})
        for value in inputs.values():
            if value.is_floating_point():
                value.requires_grad_()
        if mode == "item":
            outputs = model(**inputs)
        else:
            a, b = (model.embed(**{key: inputs[f"{side}_{key}"] for key in keys}) for side in ("left", "right"))
            outputs = {
                "left_utility_logit": model.head.logit(a)[:, 0], "right_utility_logit": model.head.logit(b)[:, 0],
                "logit": model.head.pair(a, b), "pair_logit": (model.head.pair(a, b) - model.head.pair(b, a)) / 2,
            }
        loss = sum(
            (outputs[name] * torch.tensor(sequence(outputs[name].numel(), OUTPUT_SEED + k, -1, 1)).double().reshape(outputs[name].shape)).sum()
            for k, name in enumerate(sorted(outputs))
        )
        loss.backward()
        result[f"{modality}/{mode}"] = {
            "loss": loss.item(),
            "parameters": {name: summary(p.grad) for name, p in model.named_parameters() if p.grad is not None},
            "inputs": {name: summary(value.grad) for name, value in inputs.items() if value.is_floating_point()},
        }

rows = lambda values: ",\n".join(f"{json.dumps(name)}:{json.dumps(value, separators=(',', ':'))}" for name, value in values.items())
parts = [
    f'{json.dumps(name)}:{{"loss":{entry["loss"]},\n"parameters":{{{rows(entry["parameters"])}}},\n"inputs":{{{rows(entry["inputs"])}}}}}'
    for name, entry in result.items()
]
out.write_text("{" + ",\n".join(parts) + "}\n")
print(out.stat().st_size, "bytes")
