"""Files to scores as they are usually scored from Python: Pillow, NumPy and onnxruntime. MODEL BATCH THREADS IMAGES FOLDER"""
import os
import sys
import time

import numpy as np
import onnxruntime as ort
from PIL import Image

model, batch, threads, images, folder = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
options = ort.SessionOptions()
options.intra_op_num_threads = threads
options.log_severity_level = 3
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
mean = np.array([0.485, 0.456, 0.406], np.float32)
std = np.array([0.229, 0.224, 0.225], np.float32)


def prepare(path):
    image = Image.open(path).convert("RGB")
    scale = 224 / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - mean) / std).transpose(2, 0, 1)


def score(paths):
    for at in range(0, len(paths), batch):
        session.run(None, {"pixel_values": np.stack([prepare(path) for path in paths[at : at + batch]])})


paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".jpg")]
score(paths[images : images + batch])
started = time.perf_counter()
score(paths[:images])
print(images / (time.perf_counter() - started))
