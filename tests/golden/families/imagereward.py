"""ImageReward: timm's vision transformer and transformers' BLIP text model under the names of the published file, and its head."""
import torch
from common import TEXTS, dump, fixture, picture, trained


def word_tokenizer(folder, extra):
    """A BERT tokenizer of letters and a few words: vocab.txt, then tokenizer.json by transformers' own conversion."""
    from transformers import BertTokenizer, BertTokenizerFast
    letters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *["##" + c for c in letters if c.isalnum()], "cat", "the", "##on", "cafe"] + extra
    with open(folder + "/vocab.txt", "w") as f: f.write("\n".join(words) + "\n")
    slow = BertTokenizer(folder + "/vocab.txt", additional_special_tokens=extra)
    slow.save_pretrained(folder)
    fast = BertTokenizerFast.from_pretrained(folder)
    fast.save_pretrained(folder)
    return fast


@fixture("imagereward")
@torch.no_grad()
def imagereward(folder):
    from timm.models.vision_transformer import VisionTransformer
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor
    from transformers import BlipTextConfig
    from transformers.models.blip.modeling_blip_text import BlipTextModel
    size, width, hidden, vocab_extra = 17, 10, 12, ["[DEC]", "[ENC]"]
    tok = word_tokenizer(folder, vocab_extra)
    vit = trained(VisionTransformer(img_size=size, patch_size=4, embed_dim=width, depth=2, num_heads=5, num_classes=0, global_pool=""))
    med = dict(vocab_size=len(tok), hidden_size=hidden, intermediate_size=21, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=40, hidden_act="gelu", layer_norm_eps=1e-12, pad_token_id=0)
    text = trained(BlipTextModel(BlipTextConfig(**med, encoder_hidden_size=width, is_decoder=True), add_pooling_layer=False))
    head = trained(torch.nn.ModuleDict({"layers": torch.nn.Sequential(torch.nn.Linear(hidden, 9), torch.nn.Dropout(), torch.nn.Linear(9, 7), torch.nn.Dropout(),
                                                                      torch.nn.Linear(7, 5), torch.nn.Dropout(), torch.nn.Linear(5, 4), torch.nn.Linear(4, 1))}))
    state = {f"blip.visual_encoder.{k}": v for k, v in vit.state_dict().items()}
    state |= {f"blip.text_encoder.{k}": v for k, v in text.state_dict().items() if "token_type" not in k}
    state |= {f"mlp.{k}": v for k, v in head.state_dict().items()}
    state |= {"blip.vision_proj.weight": torch.randn(3, width), "blip.vision_proj.bias": torch.randn(3), "blip.text_encoder.embeddings.position_ids": torch.arange(40)[None]}
    torch.save(state, folder + "/ImageReward.pt")
    dump(folder + "/med_config.json", {**med, "model_type": "bert", "encoder_width": 768})
    dump(folder + "/config.json", {"vit": {"image_size": size, "heads": 5}})
    prepare = Compose([Resize(size, interpolation=InterpolationMode.BICUBIC), CenterCrop(size), lambda im: im.convert("RGB"), ToTensor(),
                       Normalize([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])])

    def run(pixel_values, input_ids, attention_mask):
        image = vit.forward_features(pixel_values)
        read = text(input_ids, attention_mask=attention_mask, encoder_hidden_states=image, encoder_attention_mask=torch.ones(image.shape[:2], dtype=torch.long), is_decoder=False)[0]
        raw = head["layers"](read[:, 0])[:, 0]
        return {"utility_logit": (raw - 0.16717362830052426) / 1.0333394966054072, "reward_raw": raw, "embedding": read[:, 0]}
    made = [picture(2 * size - 5, size + 9, 1), picture(size - 3, 2 * size + 5, 2), picture(size, size, 3).convert("P")]
    for i, image in enumerate(made): image.save(f"{folder}/raw-{i}.png")
    dump(folder + "/raw.json", [{"image": f"raw-{i}.png", "text": t} for i, t in enumerate(TEXTS)])
    t = tok(TEXTS, padding="max_length", truncation=True, max_length=35, return_tensors="pt")
    raw = {"pixel_values": torch.stack([prepare(i) for i in made]), "input_ids": t["input_ids"], "attention_mask": t["attention_mask"]}
    item = {**raw, "pixel_values": torch.randn(3, 3, size, size)}
    return {"item": (item, run(**item)), "raw": (raw, run(**raw))}
