"""Pairs to scores by onnxruntime on what fuse.py made, preprocessing by transformers. FUSED FOLDER BATCH THREADS PAIRS OUT"""
import json
import os
import sys
import time

import numpy as np
import onnxruntime
import transformers as tf
from PIL import Image

fused, folder, batch, threads, count, out = *sys.argv[1:3], *map(int, sys.argv[3:6]), sys.argv[6]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(fused + "/model.onnx", options, providers=["CPUExecutionProvider"])
names = [each.name for each in session.get_inputs()]
with open(folder + "/pairs.jsonl") as f:
    pairs = [json.loads(line) for line in f]
items = lambda some: [(pair.get("context"), pair[side]) for pair in some for side in ("left", "right")]
if os.path.basename(folder) == "bert-base":
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)

    def scores(some):
        inputs = tokenizer([a for a, _ in some], [b for _, b in some], padding=True, truncation=True, return_tensors="np")
        return session.run(["logits"], {name: inputs[name] for name in names})[0][:, 0]
else:
    processor = tf.AutoProcessor.from_pretrained(folder, use_fast=False)

    def scores(some):
        images = [Image.open(os.path.join(folder, item["image"])) for _, item in some]
        inputs = processor(text=[item["text"] for _, item in some], images=images, padding=True, truncation=True, return_tensors="np")
        # Its logits are of every picture with every text: each with its own is on the diagonal.
        return np.diagonal(session.run(["logits_per_image"], {name: inputs[name] for name in names})[0])


def run(some):
    rows = items(some)
    return np.concatenate([scores(rows[at : at + batch]) for at in range(0, len(rows), batch)]).reshape(-1, 2)


run(pairs[count : count + batch])
started = time.perf_counter()
result = run(pairs[:count])
seconds = time.perf_counter() - started
with open(out, "w") as f:
    json.dump((result[:, 0] - result[:, 1]).tolist(), f)
print(json.dumps({"seconds": seconds}))
