"""Multiply-accumulates of one sample of the pico model (tests/golden/hpsv3) by PyTorch's own counter.

  python3 tests/golden/profiling/make.py        (torch >= 2.1; made with the version it prints)

Writes macs.json beside itself: {modality: {shapes: {input: [...]}, macs}}. A floating-point operation is half a multiply-accumulate."""
import json, os, sys
import torch
from torch.utils.flop_counter import FlopCounterMode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "reference"))
import hpsv3_torch as ref

with open(os.path.join(HERE, "..", "hpsv3", "config.json")) as file:
    config = ref.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.load(file).items()})
model = ref.HPSv3(config).eval()
inputs = ref.example_inputs(config)
counts = {}
for modality, names in ref.MODALITY_INPUTS.items():
    sample = {name: inputs[name][:1] for name in names}
    with FlopCounterMode(display=False) as counter:
        model(**sample)
    counts[modality] = {"shapes": {name: list(value.shape[1:]) for name, value in sample.items()},
                        "macs": counter.get_total_flops() // 2}
with open(os.path.join(HERE, "macs.json"), "w") as file:
    json.dump({"torch": torch.__version__, **counts}, file, indent=2)
    file.write("\n")
