"""CLIP in both layouts: tiny models of transformers and open_clip with random weights, their processors and scores."""
import json, os
import torch
from common import TEXTS, dump, fixture, picture, trained

MERGES = ["t h", "th e</w>", "c a", "ca t</w>", "a t", "o n</w>", "c l"]


def clip_tokenizer(folder, positions):
    """A CLIP tokenizer of bytes and a few merges: vocab.json and merges.txt, then tokenizer.json by transformers' own conversion."""
    from transformers import CLIPTokenizer, CLIPTokenizerFast
    from transformers.models.clip.tokenization_clip import bytes_to_unicode
    letters = list(bytes_to_unicode().values())
    words = letters + [c + "</w>" for c in letters] + [m.replace(" ", "") for m in MERGES] + ["<|startoftext|>", "<|endoftext|>"]
    dump(folder + "/vocab.json", {w: i for i, w in enumerate(words)})
    with open(folder + "/merges.txt", "w") as f:
        f.write("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    slow = CLIPTokenizer(folder + "/vocab.json", folder + "/merges.txt", model_max_length=positions, additional_special_tokens=["<|style|>"])
    slow.save_pretrained(folder)
    fast = CLIPTokenizerFast.from_pretrained(folder)
    fast.save_pretrained(folder)
    return fast


def pictures(folder, size):
    made = [picture(2 * size - 5, size + 9, 1), picture(size - 3, 2 * size + 2, 2), picture(size, size, 3)]
    for i, image in enumerate(made):
        image.save(f"{folder}/raw-{i}.png")
    dump(folder + "/raw.json", [{"image": f"raw-{i}.png", "text": t} for i, t in enumerate(TEXTS)])
    return made


def score(image, text, scale):
    cosine = torch.nn.functional.cosine_similarity(image, text)
    return {"utility_logit": cosine * scale, "cosine": cosine, "image_embedding": image, "text_embedding": text}


@fixture("clip-transformers")
@torch.no_grad()
def transformers_clip(folder):
    """Old spelling of the vision section, new of the text: an added token above the end of text, quick_gelu by default, fp16 weights."""
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel
    size, positions = 19, 11
    tok = clip_tokenizer(folder, positions)
    text = dict(hidden_size=12, intermediate_size=21, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=positions, vocab_size=len(tok),
                bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id)
    vision = dict(hidden_size=10, intermediate_size=18, num_hidden_layers=2, num_attention_heads=5, image_size=size, patch_size=5, hidden_act="gelu")
    model = trained(CLIPModel(CLIPConfig(text_config=dict(text), vision_config=dict(vision), projection_dim=7)))
    model.logit_scale.fill_(3.1)
    model.half().save_pretrained(folder)
    model.float()
    dump(folder + "/config.json", {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 7, "text_config": {**text, "model_type": "clip_text_model"},
                                   "vision_config": {"hidden_size": 1}, "vision_config_dict": vision, "torch_dtype": "float16"})
    processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size=size)
    processor.save_pretrained(folder)

    def run(pixel_values, input_ids, attention_mask):
        return score(model.get_image_features(pixel_values), model.get_text_features(input_ids, attention_mask), model.logit_scale.exp())
    raw_texts = TEXTS[:2] + ["a <|style|> cat"]
    t = tok(raw_texts, padding="max_length", truncation=True, return_tensors="pt")
    made = pictures(folder, size)
    dump(folder + "/raw.json", [{"image": f"raw-{i}.png", "text": x} for i, x in enumerate(raw_texts)])
    raw = {"pixel_values": processor(made, return_tensors="pt")["pixel_values"], "input_ids": t["input_ids"], "attention_mask": t["attention_mask"]}
    item = {**raw, "pixel_values": torch.randn(3, 3, size, size)}
    return {"item": (item, run(**item)), "raw": (raw, run(**raw))}


@fixture("clip-open")
@torch.no_grad()
def open_clip_model(folder):
    """open_clip's names, stacked q k v, transposed projections, erf gelu; HPSv2's file and its own preparation of pictures."""
    import open_clip
    from torchvision.transforms import InterpolationMode, functional as T
    size, context = 17, 10
    tok = clip_tokenizer(folder, context)
    vocab = len(tok)
    cfg = {"embed_dim": 6, "vision_cfg": {"image_size": size, "layers": 2, "width": 12, "head_width": 4, "patch_size": 4, "mlp_ratio": 3.0},
           "text_cfg": {"context_length": context, "vocab_size": vocab, "width": 8, "heads": 2, "layers": 2}}
    model = trained(open_clip.model.CLIP(**{k: (v if not isinstance(v, dict) else v) for k, v in cfg.items()}))
    torch.save({"epoch": 1, "state_dict": model.state_dict()}, folder + "/HPS_v2_tiny.pt")
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    dump(folder + "/open_clip_config.json", {"model_cfg": cfg, "preprocess_cfg": {"mean": mean, "std": std, "interpolation": "bicubic", "resize_mode": "shortest"}})

    def run(pixel_values, input_ids):
        return score(model.encode_image(pixel_values), model.encode_text(input_ids), 1.0)
    made = pictures(folder, size)
    ids = torch.zeros(3, context, dtype=torch.int64)
    for row, text in zip(ids, TEXTS):
        found = tok(text, truncation=True)["input_ids"]
        row[: len(found)] = torch.tensor(found)

    def letterbox(image, antialias):
        x = T.to_tensor(image)
        scale = size / float(max(x.shape[1:]))
        if scale != 1.0:
            h, w = (round(s * scale) for s in x.shape[1:])
            x = T.resize(x, [h, w], InterpolationMode.BICUBIC, antialias=antialias)
            x = T.pad(x, [(size - w) // 2, (size - h) // 2, size - w - (size - w) // 2, size - h - (size - h) // 2], fill=0)
        return T.normalize(x, mean, std)
    prepared = {
        "raw": torch.stack([letterbox(i, True) for i in made]),
        "raw_noantialias": torch.stack([letterbox(i, False) for i in made]),
        "raw_open_clip": torch.stack([open_clip.transform.image_transform(size, False, mean, std)(i) for i in made]),
        "item": torch.randn(3, 3, size, size),
    }
    return {group: ({"pixel_values": p, "input_ids": ids}, run(p, ids)) for group, p in prepared.items()}


@fixture("clip-head")
@torch.no_grad()
def clip_head(folder):
    """LAION's aesthetic predictor: the projected picture of length 1, and a head in a file of its own whose layers follow each other."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor
    size = 18
    vision = dict(hidden_size=10, intermediate_size=18, num_hidden_layers=2, num_attention_heads=5, image_size=size, patch_size=5, projection_dim=7)
    m = trained(CLIPVisionModelWithProjection(CLIPVisionConfig(**vision)))
    m.save_pretrained(folder)
    dump(folder + "/config.json", {"model_type": "clip", "projection_dim": 7, "vision_config": vision})
    head = trained(torch.nn.Sequential(torch.nn.Linear(7, 9), torch.nn.Dropout(), torch.nn.Linear(9, 5), torch.nn.Dropout(), torch.nn.Linear(5, 4), torch.nn.Dropout(), torch.nn.Linear(4, 3), torch.nn.Linear(3, 1)))
    torch.save({f"layers.{k}": v for k, v in head.state_dict().items()}, folder + "/head.pth")
    dump(folder + "/request.json", {"headFile": "head.pth"})
    prepare = Compose([Resize(size, interpolation=InterpolationMode.BICUBIC), CenterCrop(size), ToTensor(), Normalize([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])])
    made = [picture(2 * size - 5, size + 7, 1), picture(size + 3, 2 * size + 5, 2), picture(size, size, 3)]
    for i, image in enumerate(made): image.save(f"{folder}/raw-{i}.png")
    dump(folder + "/raw.json", [{"image": f"raw-{i}.png"} for i in range(3)])

    def run(pixel_values):
        embedding = m(pixel_values).image_embeds
        return {"utility_logit": head(torch.nn.functional.normalize(embedding, dim=-1))[:, 0], "embedding": embedding}
    prepared = {"item": torch.randn(3, 3, size, size), "raw": torch.stack([prepare(i) for i in made])}
    return {group: ({"pixel_values": p}, run(p)) for group, p in prepared.items()}
