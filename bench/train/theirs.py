"""The same training step in PyTorch: theirs.py REFERENCE_FOLDER CHECKPOINT CONFIG.json MODALITY PAIRS STEPS THREADS [DEVICE]

The reference model in evaluation mode (batch norms keep their statistics, as ours do), the same losses, clipping and AdamW.
Prints {seconds, loss}: the median of a step, the last loss."""
import json
import statistics
import sys
import time

import torch
from torch.nn.functional import softplus

folder, checkpoint, config_path, modality = sys.argv[1:5]
pairs, steps, threads = map(int, sys.argv[5:8])
device = sys.argv[8] if len(sys.argv) > 8 else "cpu"
sys.path.insert(0, folder)
import hpsv3_torch as ref

WARMUP = 2
TOKENS = 64
torch.set_num_threads(threads)
torch.manual_seed(0)
with open(config_path) as file:
    config = ref.Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in json.load(file).items()})
model = ref.HPSv3(config).eval()
from safetensors.torch import load_file

model.load_state_dict(load_file(checkpoint))
model.to(device)
if modality == "text":
    ids = torch.randint(5, 500, (2 * pairs, TOKENS))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
else:
    inputs = {"pixel_values": torch.randn(2 * pairs, 3, config.image_size, config.image_size)}
inputs = {name: value.to(device) for name, value in inputs.items()}
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)


def step():
    optimizer.zero_grad()
    embedding = model.embed(**inputs)
    left, right = embedding.split(pairs)
    forth, back = model.head.pair(left, right), model.head.pair(right, left)
    pair, bias = (forth - back) / 2, (forth + back) / 2
    utility = model.head.logit(embedding)[:, 0]
    loss = softplus(-pair).mean() + 0.5 * softplus(utility[pairs:] - utility[:pairs]).mean() + 0.1 * (bias**2).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


times = []
for index in range(-WARMUP, steps):
    started = time.perf_counter()
    last = step()
    if index >= 0:
        times.append(time.perf_counter() - started)
print(json.dumps({"seconds": statistics.median(times), "loss": last}))
