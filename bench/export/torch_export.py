"""The peer: loads a checkpoint of the reference architecture and exports one modality with torch.onnx.export.

  python3 torch_export.py REFERENCE_FOLDER CHECKPOINT CONFIG.json MODALITY OUT.onnx [dynamo]

Opset 14 by tracing; with `dynamo` its newer exporter at the opset it prefers."""
import inspect
import sys

import torch
from reference_item import load_item

out, dynamo = sys.argv[5], sys.argv[6:] == ["dynamo"]
item, names, inputs = load_item(*sys.argv[1:5])
arguments = {"input_names": names}
if dynamo:
    batch = torch.export.Dim("batch", min=1)
    arguments |= {"dynamo": True, "dynamic_shapes": {"values": tuple({0: batch} for _ in names)}, "verbose": False}
else:
    arguments |= {"opset_version": 14, "dynamic_axes": {name: {0: "batch"} for name in names}}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        arguments["dynamo"] = False
with torch.no_grad():
    torch.onnx.export(item, tuple(inputs.values()), out, **arguments)
