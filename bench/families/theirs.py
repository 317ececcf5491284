"""Pairs to scores by transformers as its documentation has it, eager in PyTorch, preprocessing included. FOLDER BATCH THREADS PAIRS OUT"""
import os
import sys

import torch
import transformers as tf
from PIL import Image

from pairs import score_pairs

folder, batch, threads, count, out = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
torch.set_num_threads(threads)
if os.path.basename(folder) == "bert-base":
    tokenizer = tf.AutoTokenizer.from_pretrained(folder)
    model = tf.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()

    def scores(some):
        inputs = tokenizer([a for a, _ in some], [b for _, b in some], padding=True, truncation=True, return_tensors="pt")
        return model(**inputs).logits[:, 0]
else:
    processor = tf.AutoProcessor.from_pretrained(folder, use_fast=False)
    model = tf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()

    def scores(some):
        images = [Image.open(os.path.join(folder, item["image"])) for _, item in some]
        inputs = processor(text=[item["text"] for _, item in some], images=images, padding=True, truncation=True, return_tensors="pt")
        # Each picture with its own text, not with those of all others.
        image = model.get_image_features(pixel_values=inputs["pixel_values"])
        text = model.get_text_features(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        unit = lambda x: x / x.norm(dim=-1, keepdim=True)
        return model.logit_scale.exp() * (unit(image) * unit(text)).sum(-1)


with torch.inference_mode():
    score_pairs(scores, folder, batch, count, out)
