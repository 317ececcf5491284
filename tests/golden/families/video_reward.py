"""VideoReward: Qwen2-VL with one reward a token, its checkpoint as the package saves it (the whole state of a PEFT model, adapters beside their base)
and merged, with clips as the package reads them."""
import json, math, os, re, subprocess
import numpy as np
import torch
from common import TEXTS, dump, fixture, trained
from qwen2_vl import byte_tokenizer

PROMPT = "\nJudge the clip. {{0 to 10}}\nVQ: <|VQ_reward|>\nEND\nMQ: <|MQ_reward|>\nEND\nTextual prompt - {text_prompt}\nTA: <|TA_reward|>\nEND\n"
TOKENS = ["<|VQ_reward|>", "<|MQ_reward|>", "<|TA_reward|>"]
PATCH, MERGE, FACTOR = 4, 2, 8
LEAST, MOST = 128 * 28 * 28, 512  # vision_process.VIDEO_MIN_PIXELS and data_config.max_frame_pixels: the most counts first
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def smart_resize(height, width):
    """VideoAlign, vision_process.smart_resize, for frames of `factor` 8."""
    h, w = max(FACTOR, round(height / FACTOR) * FACTOR), max(FACTOR, round(width / FACTOR) * FACTOR)
    if h * w > MOST:
        beta = math.sqrt(height * width / MOST)
        h, w = math.floor(height / beta / FACTOR) * FACTOR, math.floor(width / beta / FACTOR) * FACTOR
    elif h * w < LEAST:
        beta = math.sqrt(LEAST / (height * width))
        h, w = math.ceil(height * beta / FACTOR) * FACTOR, math.ceil(width * beta / FACTOR) * FACTOR
    return h, w


def sampled(total, rate, fps):
    """smart_nframes and the uniform sampling of _read_video_decord."""
    least, most = 4, math.floor(min(768, total) / 2) * 2
    n = round(min(max(total / rate * fps, least), most) / 2) * 2
    return torch.linspace(0, total - 1, n).round().long().tolist()


def moving(width, height, frames, seed):
    """Waves that move, uint8 [frames, height, width, 3]."""
    r = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    a, b, c = r.uniform(3, 9, 3), r.uniform(3, 9, 3), r.uniform(0.1, 0.5, 3)
    made = [np.stack([127 + 100 * np.sin(x / a[k] + y / b[k] + t * c[k]) for k in range(3)], -1) for t in range(frames)]
    return np.stack(made).clip(0, 255).astype(np.uint8)


def write_clip(path, frames, rate):
    """Lossless H.264 of RGB: every decoder gives these very frames."""
    import imageio_ffmpeg
    n, h, w, _ = frames.shape
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{w}x{h}", "-r", str(rate), "-i", "-", "-c:v", "libx264rgb", "-qp", "0",
                    "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-y", path], input=frames.tobytes(), check=True)


@fixture("video-reward")
@torch.no_grad()
def video_reward(folder):
    import transformers as tf
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import save_file
    from torchvision.transforms import InterpolationMode, functional as F
    tok = byte_tokenizer(folder, ["<|im_start|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>", *TOKENS])
    video_id, rewards, vocab, hidden = tok.convert_tokens_to_ids("<|video_pad|>"), tok.convert_tokens_to_ids(TOKENS), len(tok), 12
    assert rewards == [vocab - 3, vocab - 2, vocab - 1]
    config = {"model_type": "qwen2_vl", "bos_token_id": tok.pad_token_id, "image_token_id": 1, "video_token_id": video_id, "hidden_act": "silu", "hidden_size": hidden, "intermediate_size": 13,
              "max_position_embeddings": 512, "num_attention_heads": 3, "num_hidden_layers": 2, "num_key_value_heads": 1, "rms_norm_eps": 1e-6, "rope_theta": 1000.0,
              "use_sliding_window": False, "vocab_size": vocab, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 0]},
              "vision_config": {"depth": 2, "embed_dim": 16, "mlp_ratio": 2, "num_heads": 2, "in_chans": 3, "hidden_size": hidden, "patch_size": PATCH, "spatial_merge_size": MERGE, "temporal_patch_size": 2}}
    dump(folder + "/config.json", config)
    model = tf.Qwen2VLForConditionalGeneration._from_config(tf.AutoConfig.from_pretrained(folder), attn_implementation="eager").float()
    model.rm_head = torch.nn.Linear(hidden, 1, bias=False)
    model = trained(model)
    lora = {"lora_enable": True, "lora_r": 2, "lora_alpha": 3, "lora_namespan_exclude": ["lm_head", "rm_head", "embed_tokens", "visual"], "use_rslora": False}
    targets = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and not any(x in n for x in lora["lora_namespan_exclude"])]
    model = get_peft_model(model, LoraConfig(target_modules=targets, r=2, lora_alpha=3, lora_dropout=0.05, task_type="CAUSAL_LM", bias="none"))
    for name, p in model.named_parameters():
        if "lora_" in name: p.copy_(torch.randn_like(p) * 0.4)
    model = model.eval()
    old = lambda key: re.sub(r"\bmodel\.visual\.", "visual.", re.sub(r"\bmodel\.language_model\.", "model.", key))
    os.makedirs(folder + "/published/checkpoint-7", exist_ok=True)
    torch.save({old(k): v for k, v in model.state_dict().items() if "lm_head" not in k}, folder + "/published/checkpoint-7/model.pth")
    settings = {"data_config": {"max_frame_pixels": MOST, "num_frames": None, "fps": 2.0, "eval_dim": ["VQ", "MQ", "TA"], "prompt_template_type": "detailed_special", "sample_type": "uniform"},
                "model_config": {"output_dim": 1, "use_special_tokens": True, "reward_token": "special"}, "peft_lora_config": lora,
                "inference_config": {"VQ_mean": 0.7, "VQ_std": 1.3, "MQ_mean": -0.4, "MQ_std": 0.9, "TA_mean": 0.2, "TA_std": 2.1}}
    dump(folder + "/model_config.json", settings)
    dump(folder + "/published/model_config.json", settings)
    net = model.merge_and_unload()
    state = {old(k): v.contiguous() for k, v in net.state_dict().items() if not k.startswith("lm_head")}
    save_file(state | {"lm_head.weight": torch.zeros(3, hidden)}, folder + "/model.safetensors")
    with open(folder + "/prompt_template.txt", "w") as f: f.write(PROMPT)
    dump(folder + "/request.json", {"options": {"promptTemplate": PROMPT}})
    vp = tf.Qwen2VLVideoProcessor(patch_size=PATCH, temporal_patch_size=2, merge_size=MERGE, image_mean=MEAN, image_std=STD, do_resize=False, do_sample_frames=False)

    def run(input_ids, attention_mask, pixel_values_videos, video_grid_thw):
        """As Qwen2VLRewardModelBT does: embeddings and no ids, so that positions count tokens on all three axes."""
        words = net.get_input_embeddings()(input_ids).masked_scatter((input_ids == video_id)[..., None], net.model.visual(pixel_values_videos, grid_thw=video_grid_thw))
        states = net.model(input_ids=None, inputs_embeds=words, attention_mask=attention_mask).last_hidden_state
        read = states[torch.isin(input_ids, torch.tensor(rewards))].view(len(input_ids), 3, hidden)
        scores = net.rm_head(read)[..., 0]
        s = settings["inference_config"]
        normal = [(scores[:, i] - s[k + "_mean"]) / s[k + "_std"] for i, k in enumerate(("VQ", "MQ", "TA"))]
        return {"utility_logit": sum(normal), "vq": normal[0], "mq": normal[1], "ta": normal[2], "embedding": read.flatten(1)}

    def prepare(clips, texts):
        """Clips are (frames, rate), as decoded."""
        pixels, grids, rows = [], [], []
        for (frames, rate), text in zip(clips, texts):
            video = torch.from_numpy(frames[sampled(len(frames), rate, 2.0)]).permute(0, 3, 1, 2)
            video = F.resize(video, list(smart_resize(*video.shape[2:])), interpolation=InterpolationMode.BICUBIC, antialias=True).float()
            out = vp(videos=[video], return_tensors="pt")
            pixels.append(out["pixel_values_videos"]); grids.append(out["video_grid_thw"])
            user = f"<|vision_start|>{'<|video_pad|>' * int(out['video_grid_thw'].prod() // MERGE**2)}<|vision_end|>" + PROMPT.format(text_prompt=text)
            rows.append(f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n")
        t = tok(rows, padding=True, return_tensors="pt")
        return {"input_ids": t["input_ids"], "attention_mask": t["attention_mask"], "pixel_values_videos": torch.cat(pixels), "video_grid_thw": torch.cat(grids)}

    # The first has 5 frames by its rate, halves to even: 4. The second is short, and its 4 frames are the least there are.
    clips = [(moving(46, 30, 30, 1), 12), (moving(26, 44, 9, 2), 8), (moving(34, 38, 36, 3), 9)]
    for i, (frames, rate) in enumerate(clips): write_clip(f"{folder}/raw-{i}.mp4", frames, rate)
    texts = [*TEXTS[:2], "a"]
    dump(folder + "/raw.json", [{"video": f"raw-{i}.mp4", "text": t} for i, t in enumerate(texts)])
    raw = prepare(clips, texts)
    assert raw["video_grid_thw"][:, 0].tolist() == [2, 2, 4], raw["video_grid_thw"]
    item = prepare([(moving(30, 110, 8, 4), 4), (moving(64, 64, 24, 5), 8), (moving(61, 97, 4, 6), 24)], ["a", TEXTS[1], "two words"])
    assert len(set(map(tuple, item["video_grid_thw"].tolist()))) == 3
    return {"item": (item, run(**item)), "raw": (raw, run(**raw))}
