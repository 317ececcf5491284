"""PickScore and every other CLIP in the layout of transformers.

    python3 clip.py yuvalkirstain/PickScore_v1 golden.safetensors [laion/CLIP-ViT-H-14-laion2B-s32B-b79K]

The last argument is where the processor lies, for models that are published without one. Needs torch, transformers, pillow."""
import sys

import torch
from transformers import AutoModel, AutoProcessor

from common import TEXTS, pictures, write

model_name, out, *processor_name = sys.argv[1:]
processor = AutoProcessor.from_pretrained(*(processor_name or [model_name]), use_fast=False)
model = AutoModel.from_pretrained(model_name, torch_dtype=torch.float32).eval()
size = model.config.vision_config.image_size
processor.image_processor.size, processor.image_processor.crop_size = {"shortest_edge": size}, {"height": size, "width": size}
limit = model.config.text_config.max_position_embeddings
inputs = processor(text=TEXTS, images=pictures(), padding=True, truncation=True, max_length=limit, return_tensors="pt")
with torch.no_grad():
    image = model.get_image_features(pixel_values=inputs["pixel_values"])
    text = model.get_text_features(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    cosine = (image / image.norm(dim=-1, keepdim=True) * (text / text.norm(dim=-1, keepdim=True))).sum(-1)
    score = model.logit_scale.exp() * cosine
write(out, {name: inputs[name] for name in ("pixel_values", "input_ids")},
      {"utility_logit": score, "cosine": cosine, "image_embedding": image, "text_embedding": text})
