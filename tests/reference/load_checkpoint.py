"""Loads a checkpoint that `finetune --checkpoint-out F.pt` wrote as any PyTorch program would, and into the reference model.

Run: python load_checkpoint.py F.pt CONFIG.json [F.safetensors]
With a safetensors file of the same weights, every tensor must be equal to it. Prints what was loaded; fails otherwise.
"""
import json
import sys
from pathlib import Path

import torch

import hpsv3_torch as ref

path, config = sys.argv[1:3]
state = torch.load(path, map_location="cpu", weights_only=True)
model = ref.HPSv3(ref.Config(**json.loads(Path(config).read_text())))
model.load_state_dict(state, strict=True)
if len(sys.argv) > 3:
    from safetensors.torch import load_file

    other = load_file(sys.argv[3])
    assert other.keys() == state.keys(), other.keys() ^ state.keys()
    for name, tensor in other.items():
        assert tensor.dtype == state[name].dtype and torch.equal(tensor, state[name]), name
print(f"torch {torch.__version__}: {len(state)} tensors, {sum(tensor.numel() for tensor in state.values())} values, strict")
