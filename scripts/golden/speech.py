"""wav2vec 2.0 with a classifier or regressor, and UTMOS22 strong of SpeechMOS.

    python3 speech.py MODEL golden.safetensors [LABEL]
    python3 speech.py utmos22_strong golden.safetensors

LABEL is the number of the label that is the score, where there are several. Needs torch, and transformers for the first, the hub
repository tarepan/SpeechMOS (torch.hub fetches it) for the second."""
import sys

import torch

from common import recording, write

name, out, *label = sys.argv[1:]
wave = recording()
if name == "utmos22_strong":
    inputs = torch.from_numpy(wave)[None]
    model = torch.hub.load("tarepan/SpeechMOS:v1.2.0", name, trust_repo=True).eval()
    with torch.no_grad():
        score = model(inputs, 16000)
else:
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification
    extractor = AutoFeatureExtractor.from_pretrained(name)
    inputs = extractor([wave], sampling_rate=16000, return_tensors="pt")["input_values"]
    model = AutoModelForAudioClassification.from_pretrained(name, torch_dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        score = model(inputs).logits[:, int(label[0]) if label else 0]
write(out, {"input_values": inputs}, {"utility_logit": score.flatten()})
