"""Three steps of torch.optim.AdamW on one vector, in float64: adamw.json. Run: python make_adamw.py        (torch 2.15)"""
import json
from pathlib import Path

import torch

SETTINGS = {"lr": 0.01, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-6, "weightDecay": 0.1}
START = [0.5, -1.25, 0.0, 3.0, -0.001]
GRADIENTS = [[0.1, -2.0, 0.0, 1e-4, 5.0], [-0.3, -1.0, 1e-8, 2e-4, -5.0], [0.2, 0.5, 0.25, -3e-4, 0.0]]

parameter = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
optimizer = torch.optim.AdamW(
    [parameter],
    lr=SETTINGS["lr"],
    betas=(SETTINGS["beta1"], SETTINGS["beta2"]),
    eps=SETTINGS["epsilon"],
    weight_decay=SETTINGS["weightDecay"],
)
steps = []
for gradient in GRADIENTS:
    parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    optimizer.step()
    steps.append(parameter.detach().tolist())
clipped = torch.nn.Parameter(torch.zeros(2))
clipped.grad = torch.tensor([3.0, 4.0])
norm = torch.nn.utils.clip_grad_norm_([clipped], 1.0)
result = {
    "origin": f"torch {torch.__version__}",
    "settings": SETTINGS,
    "start": START,
    "gradients": GRADIENTS,
    "steps": steps,
    "clipping": {"gradient": [3.0, 4.0], "maxNorm": 1.0, "norm": norm.item(), "clipped": clipped.grad.tolist()},
}
Path(__file__).with_name("adamw.json").write_text(json.dumps(result, indent=1) + "\n")
