"""HPSv2 and HPSv2.1 by their own package.

    python3 hpsv2.py HPS_v2.1_compressed.pt golden.safetensors

Needs torch and hpsv2 (its copy of open_clip prepares pictures as no other does); torchvision before 0.17 resizes without antialias:
then export with --preprocess hpsv2-no-antialias."""
import sys

import torch
from hpsv2.src.open_clip import create_model_and_transforms, get_tokenizer

from common import TEXTS, pictures, write

checkpoint, out = sys.argv[1:]
model, _, prepare = create_model_and_transforms(
    "ViT-H-14", None, precision="fp32", device="cpu", jit=False, force_quick_gelu=False, output_dict=True, light_augmentation=True, with_region_predictor=False)
model.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"])
model.eval()
pixels = torch.stack([prepare(picture) for picture in pictures()])
ids = get_tokenizer("ViT-H-14")(TEXTS)
with torch.no_grad():
    image, text = model.encode_image(pixels), model.encode_text(ids)
    unit = lambda x: torch.nn.functional.normalize(x, dim=-1)
    cosine = (unit(image) * unit(text)).sum(-1)
write(out, {"pixel_values": pixels, "input_ids": ids},
      {"utility_logit": cosine, "cosine": cosine, "image_embedding": image, "text_embedding": text})
