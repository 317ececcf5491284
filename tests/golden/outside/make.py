"""A tiny random model of the family in tests/examples/patch-scorer.js, and its scores.

    python3 make.py        needs torch 2.15.0, safetensors

model.safetensors, its config.json, and golden.safetensors with inputs (`item/in/NAME`) and the score (`item/out/utility_logit`).
"""
import json
import os
import torch
from torch import nn
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
WIDTH, PATCH, IMAGE, HEADS, LAYERS, INNER = 12, 4, 16, 3, 2, 20


class PatchScorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(torch.zeros((IMAGE // PATCH) ** 2, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.score = nn.Linear(WIDTH, 1)

    def forward(self, pixels):
        tokens = self.patches(pixels).flatten(2).transpose(1, 2) + self.positions
        return self.score(self.norm(self.encoder(tokens)).mean(1))[:, 0]


torch.manual_seed(7)
model = PatchScorer().eval()
for key, p in model.named_parameters():
    with torch.no_grad():
        p.normal_(0, 0.4)
        if "norm" in key and key.endswith("weight"): p.add_(1)
pixels = torch.randn(3, 3, IMAGE, IMAGE)
with torch.no_grad(): score = model(pixels)
at = lambda name: os.path.join(HERE, name)
save_file(model.state_dict(), at("model.safetensors"), {"format": "pt"})
save_file({"item/in/pixel_values": pixels, "item/out/utility_logit": score}, at("golden.safetensors"))
json.dump({"heads": HEADS, "image_size": IMAGE}, open(at("config.json"), "w"))
print(score.tolist())
