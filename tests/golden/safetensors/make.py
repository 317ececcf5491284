"""Writes every.safetensors: one small tensor of each dtype, by the reference implementation (safetensors, with torch 1.13).

Float8 types are left out: this torch has none. Values are 0, 1, 2, ... (booleans alternate), so that tests need no second file.
Run: python make.py
"""
import torch
from safetensors.torch import save_file

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}
tensors = {f"a.{name}": (torch.arange(6) % (2 if name == "BOOL" else 6)).reshape(2, 3).to(dtype) for name, dtype in DTYPES.items()}
tensors["scalar"] = torch.tensor(7.0)
tensors["empty"] = torch.zeros(0, 3)
save_file(tensors, "every.safetensors", metadata={"format": "pt", "config": '{"width": 64}'})
