"""Encoders of sentences, as sentence-transformers publishes them.

    python3 sentence.py sentence-transformers/all-MiniLM-L6-v2 golden.safetensors

Needs torch and sentence-transformers."""
import sys

import torch
from sentence_transformers import SentenceTransformer

from common import ANSWERS, TEXTS, write

name, out = sys.argv[1:]
model = SentenceTransformer(name, device="cpu").float().eval()
inputs = {key: value for key, value in model.tokenize(TEXTS + ANSWERS).items() if key in ("input_ids", "attention_mask", "token_type_ids")}
with torch.no_grad():
    embedding = model(dict(inputs))["sentence_embedding"]
write(out, inputs, {"embedding": embedding})
