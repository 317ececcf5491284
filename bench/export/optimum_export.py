"""The peer: the same model and modality by optimum-onnx (its `export`, which traces and then repairs dynamic axes), opset 14.

  python3 optimum_export.py REFERENCE_FOLDER CHECKPOINT CONFIG.json MODALITY OUT.onnx"""
import sys
from pathlib import Path

import torch
from optimum.exporters.onnx import export
from optimum.exporters.onnx.config import OnnxConfig
from optimum.utils import DummyInputGenerator, NormalizedConfig
from reference_item import load_item
from transformers import PretrainedConfig, PreTrainedModel

out = sys.argv[5]
item, names, inputs = load_item(*sys.argv[1:5])
with torch.no_grad():
    outputs = len(item(*inputs.values()))


class Wrapped(PreTrainedModel):
    config_class = PretrainedConfig
    main_input_name = names[0]

    def __init__(self):
        super().__init__(PretrainedConfig())
        self.item = item


# optimum reads the names of the inputs from the signature.
exec(f"def forward(self, {', '.join(names)}): return {{f'output_{{i}}': v for i, v in enumerate(self.item({', '.join(names)}))}}")
Wrapped.forward = forward  # noqa: F821


class Inputs(DummyInputGenerator):
    SUPPORTED_INPUT_NAMES = tuple(names)

    def __init__(self, task, normalized_config, batch_size=2, **_):
        pass

    def generate(self, input_name, framework="pt", int_dtype="int64", float_dtype="fp32"):
        return inputs[input_name]


class Config(OnnxConfig):
    NORMALIZED_CONFIG_CLASS = NormalizedConfig
    DUMMY_INPUT_GENERATOR_CLASSES = (Inputs,)
    inputs = property(lambda self: {name: {0: "batch"} for name in names})
    outputs = property(lambda self: {f"output_{i}": {0: "batch"} for i in range(outputs)})


model = Wrapped().eval()
export(model, Config(model.config, task="feature-extraction"), Path(out), opset=14)
