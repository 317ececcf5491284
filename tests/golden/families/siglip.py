"""SigLIP: its joint score, and its picture tower with aesthetic-predictor-v2.5's head in a file of its own."""
import torch
from common import dump, fixture, picture, trained


def model(text, vision):
    from transformers import SiglipConfig, SiglipModel
    made = trained(SiglipModel(SiglipConfig(text_config=text, vision_config=vision)))
    with torch.no_grad():
        made.logit_scale.fill_(2.2)
        made.logit_bias.fill_(-1.5)
    return made


@fixture("siglip")
@torch.no_grad()
def siglip(folder):
    text = dict(vocab_size=41, hidden_size=8, intermediate_size=13, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=7, projection_size=12, pad_token_id=1)
    vision = dict(hidden_size=12, intermediate_size=19, num_hidden_layers=2, num_attention_heads=3, image_size=16, patch_size=5)
    m = model(text, vision)
    m.save_pretrained(folder)
    dump(folder + "/config.json", {"model_type": "siglip", "text_config": text, "vision_config": vision})
    item = {"pixel_values": torch.randn(3, 3, 16, 16), "input_ids": torch.randint(2, 41, (3, 7))}
    item["input_ids"][1, 4:] = 1
    out = m(**item)
    return {"item": (item, {"utility_logit": out.logits_per_image.diagonal(), "cosine": (out.image_embeds * out.text_embeds).sum(-1),
                            "image_embedding": m.get_image_features(item["pixel_values"]), "text_embedding": m.get_text_features(item["input_ids"])})}


@fixture("siglip-head")
@torch.no_grad()
def siglip_head(folder):
    from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel
    size = 15
    vision = dict(hidden_size=12, intermediate_size=19, num_hidden_layers=2, num_attention_heads=3, image_size=size, patch_size=4)
    m = trained(SiglipVisionModel(SiglipVisionConfig(**vision)))
    m.save_pretrained(folder)
    dump(folder + "/config.json", {"model_type": "siglip", "vision_config": vision})
    head = trained(torch.nn.Sequential(*[each for a, b in ((12, 9), (9, 5), (5, 4), (4, 3)) for each in (torch.nn.Linear(a, b), torch.nn.Dropout())], torch.nn.Linear(3, 1)))
    torch.save({f"scoring_head.{k}": v.to(torch.bfloat16) for k, v in head.state_dict().items()}, folder + "/head.pth")
    head.to(torch.bfloat16).float()
    dump(folder + "/request.json", {"headFile": "head.pth"})
    processor = SiglipImageProcessor(size={"height": size, "width": size}, resample=3)
    processor.save_pretrained(folder)
    made = [picture(2 * size - 5, size + 9, 1), picture(size - 3, 2 * size + 6, 2), picture(size, size, 3)]
    for i, image in enumerate(made): image.save(f"{folder}/raw-{i}.png")
    dump(folder + "/raw.json", [{"image": f"raw-{i}.png"} for i in range(3)])

    def run(pixel_values):
        embedding = m(pixel_values).pooler_output
        return {"utility_logit": head(torch.nn.functional.normalize(embedding, dim=-1))[:, 0], "embedding": embedding}
    prepared = {"item": torch.randn(3, 3, size, size), "raw": processor(made, return_tensors="pt")["pixel_values"]}
    return {group: ({"pixel_values": p}, run(p)) for group, p in prepared.items()}
