"""Ten AdamW steps on low-rank factors of the matrices of a decoder and of an encoder by PyTorch, from the same factors on the same pairs as
tests/core/training/run/lora-torch.test.ts trains: the loss of every step, and each adapted matrix after the last, summed up as in
../autodiff/make_decoders.py. Written to golden.json.

    python make.py        (torch 2.15, transformers 4.57.6, float32)
"""
import hashlib, json, math, struct, sys
from pathlib import Path

import torch
import transformers as tf

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "autodiff"))
from make_decoders import summary

RANK, STEPS, PAIRS, TOKENS = 2, 10, 4, 6
FIXTURES = {"llama": HERE.parent / "decoders/llama", "bert": HERE.parent / "encoders/bert"}


class Random:
    """src/core/bytes/random.ts"""

    def __init__(self, seed):
        self.a, self.b, self.c, self.counter = struct.unpack("<4I", hashlib.sha256(seed.encode()).digest()[:16])

    def uniform(self):
        result = (self.a + self.b + self.counter) & 0xFFFFFFFF
        self.counter = (self.counter + 1) & 0xFFFFFFFF
        self.a = self.b ^ (self.b >> 9)
        self.b = (self.c + (self.c << 3)) & 0xFFFFFFFF
        self.c = (((self.c << 21) | (self.c >> 11)) + result) & 0xFFFFFFFF
        return result / 2**32

    def normal(self):
        return math.sqrt(-2 * math.log(1 - self.uniform())) * math.cos(2 * math.pi * self.uniform())


def ids(side):
    return torch.tensor([[5 + (7 * pair + 3 * token + 11 * side) % 30 for token in range(TOKENS)] for pair in range(PAIRS)])


def train(folder):
    config = tf.AutoConfig.from_pretrained(folder)
    rope = getattr(config, "rope_parameters", None)
    if rope: config.rope_theta = rope.get("rope_theta", config.rope_theta)  # as transformers 5 spells it
    model = tf.AutoModelForSequenceClassification.from_pretrained(folder, config=config, torch_dtype=torch.float32, attn_implementation="eager").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding): module.padding_idx = None
    factors, bases = [], {}
    for key, weight in model.named_parameters():
        weight.requires_grad_(False)
        if weight.dim() != 2: continue
        table = any(part in key for part in ("embed", "pooler", "score", "classifier"))  # the graph holds the others transposed
        rows, columns = weight.shape if table else weight.shape[::-1]
        rank = min(RANK, rows, columns)
        random = Random(f"lora/{key}/lora_a")
        a = torch.tensor([random.normal() / math.sqrt(rank) for _ in range(rows * rank)], dtype=torch.float32).reshape(rows, rank)
        a, b = torch.nn.Parameter(a), torch.nn.Parameter(torch.zeros(rank, columns))
        bases[key] = (weight.detach().clone(), a, b, table)
        factors += [a, b]
    optimizer = torch.optim.AdamW(factors, lr=1e-2, weight_decay=0.01)
    merged = lambda: {key: base + (a @ b if table else (a @ b).T) for key, (base, a, b, table) in bases.items()}
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        scores = torch.func.functional_call(model, merged(), kwargs={"input_ids": torch.cat([ids(0), ids(1)])}).logits[:, 0]
        # The pair loss, whose weight is 1, and that of the utilities, 0.5, are the same where utilities decide.
        loss = 1.5 * torch.nn.functional.softplus(scores[PAIRS:] - scores[:PAIRS]).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "changes": {key: summary((after - bases[key][0]).detach()) for key, after in merged().items()}}


(HERE / "golden.json").write_text(json.dumps({name: train(folder) for name, folder in FIXTURES.items()}, indent=1) + "\n")
