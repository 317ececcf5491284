"""HPSv3: Qwen2-VL under the names of the published file with the reward head of the package, its token the last of a cut vocabulary."""
import json, math, os, re
import torch
from common import TEXTS, dump, fixture, picture, trained

PROMPT = "\nRate it. {{0 to 10}} - {text_prompt}\n\nThe rating: <|Reward|>\n\nEND\n"
BUDGET, PATCH, MERGE = 512, 4, 2


def byte_tokenizer(folder, extra):
    """Qwen's tokenizer of single bytes."""
    from transformers import Qwen2TokenizerFast
    from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode
    with open(folder + "/vocab.json", "w") as f: json.dump({c: i for i, c in enumerate(bytes_to_unicode().values())}, f)
    with open(folder + "/merges.txt", "w") as f: f.write("#version: 0.2\n")
    tok = Qwen2TokenizerFast(folder + "/vocab.json", folder + "/merges.txt", eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tok.add_special_tokens({"additional_special_tokens": extra})
    tok.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json"): os.remove(f"{folder}/{name}")
    return tok


def smart_resize(height, width, factor, pixels):
    """qwen-vl-utils, with the same least and most."""
    h, w = max(factor, round(height / factor) * factor), max(factor, round(width / factor) * factor)
    if h * w > pixels:
        beta = math.sqrt(height * width / pixels)
        return max(factor, math.floor(height / beta / factor) * factor), max(factor, math.floor(width / beta / factor) * factor)
    beta = math.sqrt(pixels / (height * width))
    return math.ceil(height * beta / factor) * factor, math.ceil(width * beta / factor) * factor


@fixture("qwen2-vl")
@torch.no_grad()
def qwen2_vl(folder):
    import transformers as tf
    from PIL import Image
    from safetensors.torch import save_file
    tok = byte_tokenizer(folder, ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|Reward|>"])
    image_id, reward_id, vocab, hidden = tok.convert_tokens_to_ids("<|image_pad|>"), len(tok) - 1, len(tok), 12
    assert tok.convert_tokens_to_ids("<|Reward|>") == reward_id
    config = {"model_type": "qwen2_vl", "bos_token_id": tok.pad_token_id, "image_token_id": image_id, "hidden_act": "silu", "hidden_size": hidden, "intermediate_size": 13,
              "max_position_embeddings": 256, "num_attention_heads": 3, "num_hidden_layers": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 1000.0,
              "use_sliding_window": False, "vocab_size": vocab + 9, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 0]},
              "vision_config": {"depth": 2, "embed_dim": 16, "mlp_ratio": 2, "num_heads": 2, "in_chans": 3, "hidden_size": hidden, "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 2}}
    dump(folder + "/config.json", config)
    c = tf.AutoConfig.from_pretrained(folder)
    c.text_config.vocab_size = vocab
    model = trained(tf.Qwen2VLForConditionalGeneration._from_config(c, attn_implementation="eager").float())
    relu, drop = torch.nn.ReLU(), torch.nn.Dropout()
    head = trained(torch.nn.Sequential(torch.nn.Linear(hidden, 9), relu, drop, torch.nn.Linear(9, 5), relu, torch.nn.Linear(5, 2)))
    state = {re.sub(r"^model\.visual\.", "visual.", re.sub(r"^model\.language_model\.", "model.", k)): v.contiguous() for k, v in model.state_dict().items() if not k.startswith("lm_head")}
    save_file(state | {f"rm_head.{k}": v for k, v in head.state_dict().items()} | {"lm_head.weight": torch.zeros(3, hidden)}, folder + "/model.safetensors")
    with open(folder + "/prompt_template.txt", "w") as f: f.write(PROMPT)
    dump(folder + "/request.json", {"options": {"promptTemplate": PROMPT, "pixelBudget": str(BUDGET)}})
    ip = tf.Qwen2VLImageProcessor(min_pixels=1, max_pixels=10**6, patch_size=PATCH, temporal_patch_size=2, merge_size=MERGE,
                                  image_mean=[0.48145466, 0.4578275, 0.40821073], image_std=[0.26862954, 0.26130258, 0.27577711])

    def run(input_ids, attention_mask, pixel_values, image_grid_thw):
        """As the package does: embeddings and no ids, so that positions count tokens on all three axes."""
        words = model.get_input_embeddings()(input_ids).masked_scatter((input_ids == image_id)[..., None], model.model.visual(pixel_values, grid_thw=image_grid_thw))
        states = model.model(input_ids=None, inputs_embeds=words, attention_mask=attention_mask).last_hidden_state
        read = states[input_ids == reward_id]
        scores = head(read)
        return {"utility_logit": scores[:, 0], "sigma": scores[:, 1].exp(), "embedding": read}

    def prepare(images, texts):
        pixels, grids, rows = [], [], []
        for im, text in zip(images, texts):
            h, w = smart_resize(im.height, im.width, PATCH * MERGE, BUDGET)
            out = ip(images=[im.convert("RGB").resize((w, h), Image.BICUBIC)], return_tensors="pt")
            pixels.append(out["pixel_values"]); grids.append(out["image_grid_thw"])
            pads = "<|image_pad|>" * int(out["image_grid_thw"].prod() // MERGE**2)
            user = f"<|vision_start|>{pads}<|vision_end|>" + PROMPT.format(text_prompt=text)
            rows.append(f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n")
        t = tok(rows, padding=True, return_tensors="pt")
        return {"input_ids": t["input_ids"], "attention_mask": t["attention_mask"], "pixel_values": torch.cat(pixels), "image_grid_thw": torch.cat(grids)}

    # The raw rows have as many patches each, along different sides; the items differ in number, one has a single square.
    made = [picture(97, 61, 1), picture(50, 90, 2)]
    for i, image in enumerate(made): image.save(f"{folder}/raw-{i}.png")
    dump(folder + "/raw.json", [{"image": f"raw-{i}.png", "text": t} for i, t in enumerate(TEXTS[:2])])
    raw = prepare(made, TEXTS[:2])
    item = prepare([picture(20, 200, 3), picture(64, 64, 4), picture(61, 97, 5)], ["a", TEXTS[1], "two words"])
    assert len(set(item["image_grid_thw"].prod(-1).tolist())) > 1
    return {"item": (item, run(**item)), "raw": (raw, run(**raw))}
