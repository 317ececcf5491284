"""What the fixtures of all families share: weights of the size of trained ones, pictures, words, golden files."""
import json, os
import numpy as np
import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURES = {}


def fixture(name):
    """Registers the function that fills the folder NAME; it returns the groups of its golden file: {group: (inputs, outputs)}."""
    def register(make):
        FIXTURES[name] = make
        return make
    return register


def run(names):
    for name in names or sorted(FIXTURES):
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        torch.manual_seed(sum(map(ord, name)))
        groups = FIXTURES[name](folder)
        tensors = {}
        for group, (inputs, outputs) in groups.items():
            for side, values in (("in", inputs), ("out", outputs)):
                for key, value in values.items():
                    tensors[f"{group}/{side}/{key}"] = value.detach().clone().contiguous().to(torch.int64 if not value.is_floating_point() else torch.float32)
        save_file(tensors, os.path.join(folder, "golden.safetensors"))
        print(name, {k: v.flatten()[:3].tolist() for k, v in tensors.items() if k.endswith("utility_logit")})


@torch.no_grad()
def trained(model):
    """Weights of the size of trained ones: random ones as they are initialised leave gelu variants, eps values and masks without effect on the score."""
    for name, p in model.named_parameters():
        if p.ndim >= 2:
            p.copy_(torch.randn_like(p) * (0.6 if "embed" in name else 1.4 / p[0].numel() ** 0.5))
        elif p.ndim == 1:
            p.copy_(torch.randn_like(p) * 0.3 + (1.0 if "norm" in name.lower() or "ln_" in name else 0.0) * (1.0 if name.endswith("weight") else 0.0))
    return model.eval()


def picture(width, height, seed):
    """Gradients, edges and noise, as PIL."""
    from PIL import Image
    r = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / r.uniform(2, 9) + y / r.uniform(2, 9) + r.uniform(0, 6)) for _ in range(3)]
    values = np.stack([127 + 90 * w * (x > y * r.uniform(0.2, 1.5)) for w in waves], -1) + r.normal(0, 12, (height, width, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def dump(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")


TEXTS = ["A cat, on 2 mats!", "naïve café – it's 東京", "a tower above the clouds that goes on and on until no model can read the end of it"]
