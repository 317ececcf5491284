"""One small state dict as every checkpoint format writes it, a folder each, and what must be read from all of them.

    python3 make.py && node make_tfjs.js        needs torch 2.15.0, numpy, safetensors; @tensorflow/tfjs 4.22.0

expected.json: dtype, shape and the bytes of every tensor, row by row, little-endian, in hex.
"""
import json
import os
import numpy as np
import torch
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(35)
STATE = {
    "encoder.weight": rng.normal(size=(3, 5)).astype(np.float32),
    "encoder.bias": rng.normal(size=5).astype(np.float32),
    "steps": np.array([[1, -2], [3, 2**31 - 1]], np.int32),
}
DTYPES = {"float32": "F32", "int32": "I32"}


def folder(name):
    path = os.path.join(HERE, name)
    os.makedirs(path, exist_ok=True)
    return lambda file: os.path.join(path, file)


torch_state = {k: torch.from_numpy(v) for k, v in STATE.items()}
torch.save(torch_state, folder("torch-zip")("weights.pt"))
torch.save(torch_state, folder("torch-legacy")("weights.pth"), _use_new_zipfile_serialization=False)
save_file(STATE, folder("safetensors")("weights.safetensors"))
np.savez(folder("npz")("weights.npz"), **STATE)
at = folder("shard-index")
parts = {"encoder-1.safetensors": ["encoder.weight"], "encoder-2.safetensors": ["encoder.bias", "steps"]}
for file, names in parts.items(): save_file({k: STATE[k] for k in names}, at(file))
index = {"metadata": {"total_size": sum(v.nbytes for v in STATE.values())}, "weight_map": {k: file for file, names in parts.items() for k in names}}
json.dump(index, open(at("model.safetensors.index.json"), "w"))
expected = {k: {"dtype": DTYPES[str(v.dtype)], "shape": list(v.shape), "hex": v.tobytes().hex()} for k, v in STATE.items()}
json.dump(expected, open(os.path.join(HERE, "expected.json"), "w"), indent=1)
