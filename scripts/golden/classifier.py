"""Encoders and decoders with a classification or score head: OpenAssistant's and Skywork's reward models, rerankers.

    python3 classifier.py OpenAssistant/reward-model-deberta-v3-large-v2 golden.safetensors [LABEL]

A model with a chat template reads conversations, any other reads a question and an answer in one row. LABEL is the number of the label that
is the score, where there are several (`export --output-label`). Needs torch, transformers (and sentencepiece for some tokenizers)."""
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from common import ANSWERS, TEXTS, write

name, out, *label = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForSequenceClassification.from_pretrained(name, torch_dtype=torch.float32, attn_implementation="eager").eval()
if tokenizer.chat_template:
    rendered = [tokenizer.apply_chat_template([{"role": "user", "content": a}, {"role": "assistant", "content": b}], tokenize=False) for a, b in zip(TEXTS, ANSWERS)]
    begin = tokenizer.bos_token or ""  # the tokenizer puts it there again
    inputs = tokenizer([text.removeprefix(begin) for text in rendered], padding=True, return_tensors="pt")
else:
    inputs = tokenizer(TEXTS, ANSWERS, padding=True, truncation=True, return_tensors="pt")
with torch.no_grad():
    score = model(**inputs).logits[:, int(label[0]) if label else 0]
write(out, dict(inputs), {"utility_logit": score})
