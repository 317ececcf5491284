"""What the scripts of this folder share. Each is run beside the published package and writes golden.safetensors for its real weights:

    python3 scripts/golden/FAMILY.py … golden.safetensors
    hpsv3 export --checkpoint … --golden golden.safetensors --out model.onnx

Inputs are what the package itself makes of a few pictures, texts and sounds; scores are computed in float32."""
import numpy as np
import torch

TEXTS = ["A cat, on 2 mats!", "naïve café – it's 東京", "Two astronauts riding a horse on Mars, oil painting, highly detailed"]
ANSWERS = ["Yes.", "Take the train: it is faster, and you see the mountains.", "I cannot say. What would you do with it?"]


def pictures():
    """Waves and edges of several shapes, as PIL: nothing is downloaded."""
    from PIL import Image
    made = []
    for i, (width, height) in enumerate(((640, 427), (300, 512), (224, 224))):
        y, x = np.mgrid[0:height, 0:width]
        waves = [np.sin(x / (7 + 5 * c + i) + y / (11 + 3 * c)) * (x > y * (0.5 + 0.3 * i)) for c in range(3)]
        made.append(Image.fromarray((127 + 100 * np.stack(waves, -1)).astype(np.uint8)))
    return made


def recording(seconds=2, rate=16000):
    """A gliding tone with noise, float32 in [-1, 1]."""
    t = np.arange(seconds * rate) / rate
    return (0.3 * np.sin(2 * np.pi * 180 * t * (1 + t)) + 0.02 * np.random.default_rng(0).normal(size=t.size)).astype(np.float32)


def write(path, inputs, outputs):
    """`item/in/NAME` and `item/out/NAME`, in float32 and int64."""
    from safetensors.torch import save_file
    plain = lambda value: value.detach().cpu().to(torch.float32 if value.is_floating_point() else torch.int64).contiguous().clone()
    tensors = {f"item/in/{name}": plain(value) for name, value in inputs.items()}
    tensors |= {f"item/out/{name}": plain(value) for name, value in outputs.items()}
    save_file(tensors, path)
    print(path, {name: [round(x, 4) for x in value.flatten()[:3].tolist()] for name, value in outputs.items()})
