"""The reference model with a checkpoint's weights, as a module that takes one modality's inputs in order."""
import json
import sys

import torch


def load_item(folder, checkpoint, config_path, modality):
    """Returns the module in evaluation mode, the names of its inputs, and example inputs."""
    sys.path.insert(0, folder)
    import hpsv3_torch as ref

    with open(config_path) as file:
        config = ref.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.load(file).items()})
    names = ref.MODALITY_INPUTS[modality]

    class Item(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, *values):
            return tuple(self.model(**dict(zip(names, values))).values())

    model = ref.HPSv3(config).eval()
    model.load_state_dict(torch.load(checkpoint, map_location="cpu"))
    inputs = ref.example_inputs(config)
    return Item(model).eval(), names, {name: inputs[name] for name in names}
