"""The peer: loads a checkpoint of the reference architecture and exports one modality with torch.onnx.export, opset 14.

  python3 torch_export.py REFERENCE_FOLDER CHECKPOINT CONFIG.json MODALITY OUT.onnx"""
import json, sys
import torch

folder, checkpoint, config_path, modality, out = sys.argv[1:]
sys.path.insert(0, folder)
import hpsv3_torch as ref

config = ref.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.load(open(config_path)).items()})


class Item(torch.nn.Module):
    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values):
        return tuple(self.model(**dict(zip(self.names, values))).values())


model = ref.HPSv3(config).eval()
model.load_state_dict(torch.load(checkpoint, map_location="cpu"))
names = ref.MODALITY_INPUTS[modality]
inputs = ref.example_inputs(config)
with torch.no_grad():
    torch.onnx.export(Item(model, names), tuple(inputs[name] for name in names), out, opset_version=14, input_names=names,
                      dynamic_axes={name: {0: "batch"} for name in names})
