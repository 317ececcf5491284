"""Heads in a file of their own: LAION's aesthetic predictor on CLIP ViT-L/14, aesthetic-predictor-v2.5 on SigLIP.

    python3 aesthetic.py openai/clip-vit-large-patch14 sac+logos+ava1-l14-linearMSE.pth golden.safetensors
    python3 aesthetic.py google/siglip-so400m-patch14-384 aesthetic_predictor_v2_5.pth golden.safetensors

Needs torch, transformers, pillow."""
import re
import sys

import torch
from transformers import AutoImageProcessor, CLIPModel, SiglipVisionModel

from common import pictures, write

encoder_name, head_file, out = sys.argv[1:]
head = torch.load(head_file, map_location="cpu", weights_only=True)
layers = sorted({re.match(r"(.*\.\d+)\.weight", key).group(1) for key in head if key.endswith(".weight")}, key=lambda key: int(key.rsplit(".", 1)[1]))
pixels = AutoImageProcessor.from_pretrained(encoder_name, use_fast=False)(pictures(), return_tensors="pt")["pixel_values"]
with torch.no_grad():
    if "siglip" in encoder_name.lower():
        embedding = SiglipVisionModel.from_pretrained(encoder_name, torch_dtype=torch.float32).eval()(pixels).pooler_output
    else:
        embedding = CLIPModel.from_pretrained(encoder_name, torch_dtype=torch.float32).eval().get_image_features(pixels)
    score = torch.nn.functional.normalize(embedding, dim=-1)
    for layer in layers:  # dropouts stand between, no activations
        score = torch.nn.functional.linear(score, head[f"{layer}.weight"].float(), head[f"{layer}.bias"].float())
write(out, {"pixel_values": pixels}, {"utility_logit": score[:, 0], "embedding": embedding})
