"""Pairs to scores by onnxruntime on what fuse.py made, preprocessing by transformers. FUSED FOLDER BATCH THREADS PAIRS OUT"""
import os
import sys

import numpy as np
import onnxruntime
import transformers as tf
from PIL import Image

from pairs import score_pairs

fused, folder, batch, threads, count, out = *sys.argv[1:3], *map(int, sys.argv[3:6]), sys.argv[6]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(fused + "/model.onnx", options, providers=["CPUExecutionProvider"])
names = [each.name for each in session.get_inputs()]
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


score_pairs(scores, folder, batch, count, out)
