"""Makes the smallest checkpoint of the architecture, in the forms PyTorch leaves it in, and the outputs of the reference.

  python3 tests/golden/hpsv3/make.py        (torch >= 1.13 and numpy; made with torch 1.13.0)

Writes beside itself: checkpoint.safetensors and config.json (all modalities), golden.safetensors (inputs and expected
outputs under MODALITY/in|out/NAME, MODALITY/pair/in|out/NAME and head/in|out/NAME); match.safetensors: the weights that a model with
`fusion_match` has besides, and its outputs for the same inputs (made with torch 2.15.0). Weights and inputs are stored as float16 to
stay small; the reference runs on those same values, so the outputs are exact for them."""
import dataclasses, json, os, struct, sys
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "reference"))
import torch.nn as nn
import hpsv3_torch as ref

DTYPE = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}
PICO = dataclasses.replace(
    ref.NANO, name="hpsv3-pico", hidden_dim=12, image_size=64, resnet_layers=(1, 1, 1, 1), resnet_planes=2, visual_heads=3,
    vocab_size=64, text_layers=1, text_hidden=8, text_heads=2, text_intermediate=12, text_positions=16, n_fft=32, hop=16,
    n_mels=6, audio_channels=(4, 6), audio_heads=2, video_frames=4, video_size=16, video_channels=(2, 3), video_heads=4,
    fusion_latents=3, fusion_layers=2, fusion_heads=6)


def save(tensors, name):
    head, blobs, at = {}, [], 0
    for key, tensor in tensors.items():
        raw = tensor.detach().contiguous().numpy().tobytes()
        head[key] = {"dtype": DTYPE[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        blobs.append(raw)
        at += len(raw)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def golden(model, config):
    inputs, out = ref.example_inputs(config, text_len=6, audio_seconds=0.02), {}
    half = lambda value: value.half() if value.is_floating_point() else value
    inputs = {key: value.half().float() if value.is_floating_point() else value for key, value in inputs.items()}
    for modality, keys in ref.MODALITY_INPUTS.items():
        left = {key: inputs[key] for key in keys}
        right = {key: value.flip(0).contiguous() for key, value in left.items()}
        out.update({f"{modality}/in/{key}": half(value) for key, value in left.items()})
        out.update({f"{modality}/out/{key}": value for key, value in model(**left).items()})
        a, b = model.embed(**left), model.embed(**right)
        for key in keys:
            out[f"{modality}/pair/in/left_{key}"], out[f"{modality}/pair/in/right_{key}"] = half(left[key]), half(right[key])
        out[f"{modality}/pair/out/logit"] = model.head.pair(a, b)
        out[f"{modality}/pair/out/pair_logit"] = (model.head.pair(a, b) - model.head.pair(b, a)) / 2
    generator = torch.Generator().manual_seed(5)
    a, b = (torch.randn(3, config.hidden_dim, generator=generator) for _ in range(2))
    out["head/in/left"], out["head/in/right"] = a, b
    out["head/out/logit"] = model.head.pair(a, b)
    out["head/out/pair_logit"] = (model.head.pair(a, b) - model.head.pair(b, a)) / 2
    out["head/out/left_utility_logit"], out["head/out/right_utility_logit"] = model.head.logit(a)[:, 0], model.head.logit(b)[:, 0]
    return out


class Match(nn.Module):
    """Tokens of another modality and of a text -> what is added to their embedding: the product of both means, normed, bounded and projected."""

    def __init__(self, dim, width):
        super().__init__()
        self.norm_left, self.left = nn.BatchNorm1d(dim), nn.Linear(dim, width)
        self.norm_right, self.right = nn.BatchNorm1d(dim), nn.Linear(dim, width)
        self.out = nn.Linear(width, dim)

    def forward(self, left, right, mask):
        mean = (right * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        return self.out(self.left(self.norm_left(left.mean(1)).tanh()) * self.right(self.norm_right(mean).tanh()))


def matched(model, config, width=8):
    match = Match(config.hidden_dim, width)
    generator = torch.Generator().manual_seed(7)
    for value in match.eval().state_dict().values():
        if value.is_floating_point():
            value.copy_((torch.randn(value.shape, generator=generator) * 0.2 + (value.ndim == 1)).half())
    out = {f"fusion.match.{key}": value.half() if value.is_floating_point() else value for key, value in match.state_dict().items()}
    inputs = ref.example_inputs(config, text_len=6, audio_seconds=0.02)
    inputs = {key: value.half().float() if value.is_floating_point() else value for key, value in inputs.items()}
    for modality, keys in ref.MODALITY_INPUTS.items():
        if not modality.endswith("-text"):
            continue
        text, other = ({key: inputs[key] for key in keys if key.startswith(("input", "attention")) == side} for side in (True, False))
        z = model.embed(**other, **text) + match(model.tokens(**other)[0], model.tokens(**text)[0], text["attention_mask"].float())
        out.update({f"{modality}/out/{key}": value for key, value in {"embedding": z, **model.head(z)}.items()})
    return out


with torch.no_grad():
    model = ref.build(PICO, seed=3)
    half = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}
    model.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in half.items()})
    save(half, "checkpoint.safetensors")
    save(golden(model, PICO), "golden.safetensors")
    save(matched(model, PICO), "match.safetensors")
    with open(os.path.join(HERE, "config.json"), "w") as file:
        json.dump(dataclasses.asdict(PICO), file, indent=2)
        file.write("\n")
