"""WAV files of every coding in audio/, and vectors-audio.json: their samples, and what SciPy makes of them at other rates."""
import base64
import json
import math
import pathlib
import struct

import numpy as np
import scipy
from scipy import signal

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "audio"

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(data, bits, tag=PCM, channels=1, rate=8000, extensible=False, before=b"", size=None):
    head = struct.pack("<HHIIHH", EXTENSIBLE if extensible else tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    if extensible:
        head += struct.pack("<HHIH", 22, bits, 0, tag) + GUID_TAIL
    body = b"WAVE" + chunk(b"fmt ", head) + before
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def tone(count=101, channels=1, rate=8000):
    time = np.arange(count)[:, None] / rate
    return 0.8 * np.sin(2 * np.pi * (440 + 110 * np.arange(channels)) * time) + 0.1


def files():
    mono, stereo = tone(), tone(channels=2)
    quantized = lambda x, bits: np.rint(x * (2 ** (bits - 1) - 1)).astype(np.int64)
    as24 = lambda q: b"".join(int(v).to_bytes(3, "little", signed=True) for v in q.ravel())
    q8, q16, q24, q32 = (quantized(mono, bits) for bits in (8, 16, 24, 32))
    s16 = quantized(stereo, 16)
    pcm16 = q16.astype("<i2").tobytes()
    odd = chunk(b"LIST", b"INFOICMT\x03\0\0\0abc")[:-1] + b"\0"
    yield "pcm-8.wav", wav((q8 + 128).astype(np.uint8).tobytes(), 8), q8 / 128
    yield "pcm-16.wav", wav(pcm16, 16), q16 / 2**15
    yield "pcm-24.wav", wav(as24(q24), 24), q24 / 2**23
    yield "pcm-32.wav", wav(q32.astype("<i4").tobytes(), 32), q32 / 2**31
    yield "float-32.wav", wav(mono.astype("<f4").tobytes(), 32, FLOAT), mono.astype("f4")
    yield "float-64.wav", wav(mono.astype("<f8").tobytes(), 64, FLOAT), mono
    yield "extensible-24.wav", wav(as24(q24), 24, extensible=True), q24 / 2**23
    yield "extensible-float.wav", wav(mono.astype("<f4").tobytes(), 32, FLOAT, extensible=True), mono.astype("f4")
    yield "stereo.wav", wav(s16.astype("<i2").tobytes(), 16, channels=2), s16.mean(1, keepdims=True) / 2**15
    yield "odd-chunk.wav", wav(pcm16, 16, before=chunk(b"junk", b"odd") + odd), q16 / 2**15
    yield "unknown-size.wav", wav(pcm16, 16, size=0xFFFFFFFF), q16 / 2**15


def floats(values):
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


# As src/core/media/audio/resample.ts: 64 zero crossings, a cutoff of 0.95 of the lower Nyquist frequency, Kaiser with beta 10.
ZERO_CROSSINGS, CUTOFF, BETA = 64, 0.95, 10


def resample(samples, rate, to):
    divisor = math.gcd(rate, to)
    up, down = to // divisor, rate // divisor
    width = ZERO_CROSSINGS * max(up, down)
    filter = signal.firwin(2 * width + 1, CUTOFF / max(up, down), window=("kaiser", BETA))
    return signal.resample_poly(samples, up, down, window=filter)


def main():
    FOLDER.mkdir(exist_ok=True)
    read = {}
    for name, data, samples in files():
        (FOLDER / name).write_bytes(data)
        read[name] = floats(samples.ravel())
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.2, 200)
    resampled = [{"from": rate, "to": to, "samples": floats(resample(noise, rate, to))} for rate, to in
                 [(8000, 16000), (48000, 16000), (44100, 16000), (16000, 22050), (11025, 16000), (192000, 16000), (12007, 16000)]]
    vectors = {"versions": {"scipy": scipy.__version__}, "rate": 8000, "read": read, "noise": floats(noise), "resampled": resampled}
    (HERE / "vectors-audio.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
