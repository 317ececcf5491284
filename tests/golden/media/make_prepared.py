"""vectors-prepared.json: items as the inputs of the small test model, by Pillow and torchvision, Hugging Face tokenizers, SciPy and FFmpeg.

Run: python make_prepared.py TOKENIZER_JSON (as `hpsv3 init` writes it beside a checkpoint). Not run by make.py: it needs torchvision and FFmpeg.
"""
import base64
import json
import pathlib
import subprocess
import sys
import zlib

import numpy as np
import PIL
import scipy
import tokenizers
import torchvision
from scipy.io import wavfile
from torchvision import transforms

from make_audio import resample
from make_images import as_model_reads

HERE = pathlib.Path(__file__).parent
# As tests/helpers/scoring.ts (TINY) and the contract that the exporter makes of it.
SIDE, FRAMES, MAX_TOKENS, RATE, MIN_SAMPLES = 32, 4, 64, 16000, 8 * 160 + 400
CLIP = (20, 24, 32, 3)  # make_video.py

to_input = transforms.Compose([
    transforms.Resize(SIDE, transforms.InterpolationMode.BICUBIC, antialias=True),
    transforms.CenterCrop(SIDE),
    transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
])

LONG = "The same few words, again and again. " * 4
PAIRS = [
    ("image", {"image": "rgb.png"}, {"image": "orientation-6.jpg"}),
    ("image", {"image": "rgba.png"}, {"image": "bmp-24-top-down.bmp"}),
    ("image", {"image": "lossy.webp"}, {"image": "rgb.png"}),
    ("text", {"text": "A short answer."}, {"text": "Größe, 答え, 👩‍👩‍👧 and [SEP] in one text"}),
    ("text", {"text": LONG}, {"text": "A short answer."}),
    ("image-text", {"image": "rgb.png", "text": "waves in colour"}, {"image": "lossy.webp", "text": "waves in colour"}),
    ("audio", {"audio": "chirp-22050.wav"}, {"audio": "pcm-16.wav"}),
    ("audio", {"audio": "stereo.wav"}, {"audio": "float-32.wav"}),
    ("video", {"video": "index-last.mp4"}, {"video": "plain.webm"}),
]


def chirp():
    """Stereo, 16 bits, at a rate that the model does not take: 0.2 s from 300 to 3300 Hz, the right channel at half the level."""
    time = np.arange(int(0.2 * 22050)) / 22050
    left = 0.6 * np.sin(2 * np.pi * (300 * time + 7500 * time**2))
    wavfile.write(HERE / "audio" / "chirp-22050.wav", 22050, np.rint(np.stack([left, left / 2], 1) * 32767).astype("<i2"))


def image(name):
    return {"pixel_values": to_input(as_model_reads((HERE / "images" / name).read_bytes())).numpy()}


def text(value, tokenizer):
    # The reference finds special tokens in what users write; here such text is text, so its bytes are encoded apart from them.
    ids = tokenizer.encode(value, add_special_tokens=False).ids[: MAX_TOKENS - 2]
    ids = np.array([tokenizer.token_to_id("[CLS]"), *ids, tokenizer.token_to_id("[SEP]")], np.int64)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def audio(name):
    rate, samples = wavfile.read(HERE / "audio" / name)
    samples = samples / 32768 if samples.dtype == np.int16 else samples.astype(np.float64)
    if samples.ndim == 2:
        samples = samples.mean(1)
    samples = np.clip(resample(samples, rate, RATE), -1, 1)
    return {"waveform": np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples)))).astype(np.float32)}


def video(name):
    command = ["ffmpeg", "-v", "error", "-i", str(HERE / "video" / name), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    frames = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.uint8).reshape(CLIP)
    places = [int((i + 0.5) * len(frames) / FRAMES) for i in range(FRAMES)]
    return {"frames": np.stack([to_input(PIL.Image.fromarray(frames[p])).numpy() for p in places], 1)}


def without_special_tokens(path):
    """The tokenizer as it is for text that is no special token."""
    state = json.loads(path.read_text())
    plain = {**state, "added_tokens": [], "post_processor": None}
    return tokenizers.Tokenizer.from_str(json.dumps(plain))


def code(value):
    dtype = "I64" if value.dtype == np.int64 else "F32"
    data = base64.b64encode(zlib.compress(value.tobytes(), 9)).decode()
    return {"dtype": dtype, "shape": [1, *value.shape], "data": data}


def main(tokenizer_json):
    chirp()
    tokenizer = without_special_tokens(tokenizer_json)
    readers = {"image": image, "text": lambda value: text(value, tokenizer), "audio": audio, "video": video}
    items, parts = {}, {}
    for modality, *sides in PAIRS:
        for part, value in [each for side in sides for each in side.items()]:
            parts.setdefault(f"{part}:{value}", (part, value))
    for key, (part, value) in parts.items():
        items[key] = {name: code(tensor) for name, tensor in readers[part](value).items()}
    pairs = [{"modality": modality, "left": left, "right": right} for modality, left, right in PAIRS]
    versions = {module.__name__: module.__version__ for module in [PIL, scipy, tokenizers, torchvision]}
    (HERE / "vectors-prepared.json").write_text(json.dumps({"versions": versions, "pairs": pairs, "parts": items}, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
