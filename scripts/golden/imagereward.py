"""ImageReward by its own package.

    python3 imagereward.py ImageReward.pt med_config.json golden.safetensors

Needs torch and image-reward."""
import sys

import torch
import ImageReward

from common import TEXTS, pictures, write

checkpoint, config, out = sys.argv[1:]
model = ImageReward.load(checkpoint, device="cpu", med_config=config).float().eval()
pixels = torch.stack([model.preprocess(picture) for picture in pictures()])
text = model.blip.tokenizer(TEXTS, padding="max_length", truncation=True, max_length=35, return_tensors="pt")
with torch.no_grad():
    # One row after the other, as the package scores a prompt with its pictures.
    scores = [model.score_gard(text.input_ids[i : i + 1], text.attention_mask[i : i + 1], pixels[i : i + 1]) for i in range(len(TEXTS))]
write(out, {"pixel_values": pixels, "input_ids": text.input_ids, "attention_mask": text.attention_mask}, {"utility_logit": torch.cat(scores).flatten()})
