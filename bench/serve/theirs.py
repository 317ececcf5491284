"""The server a user would write: FastAPI and onnxruntime. python theirs.py MODEL TOKENIZER PORT"""

import sys

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from tokenizers import Tokenizer

model, tokenizer_path, port = sys.argv[1:4]
tokenizer = Tokenizer.from_file(tokenizer_path)
tokenizer.enable_truncation(64)
session = ort.InferenceSession(model)
app = FastAPI()


class Item(BaseModel):
    type: str
    text: str


@app.get("/livez")
def live():
    return {"status": "ok"}


@app.post("/score")
def score(item: Item):
    encoding = tokenizer.encode(item.text)
    feeds = {
        "input_ids": np.array([encoding.ids], dtype=np.int64),
        "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
    }
    logit, utility = session.run(["utility_logit", "utility"], feeds)
    return {"score": float(utility.ravel()[0]), "logit": float(logit.ravel()[0])}


uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")
