"""Tiny random language models with a score head, as they are published, and their outputs.

    python3 make.py        needs torch 2.15.0, transformers 4.57.6, safetensors

A folder each: config.json, model.safetensors (bfloat16 where the published ones are), golden.safetensors with inputs (`item/in/NAME`,
padded on the right; the test pads them on the left as well) and the score (`item/out/utility_logit`), computed in float32. The last row
holds the padding id inside its text.
"""
import json
import os
import torch
from safetensors.torch import save_file
import transformers as tf

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = dict(vocab_size=37, hidden_size=16, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=19,
             max_position_embeddings=64, num_labels=1, pad_token_id=3)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24)
CASES = {
    "llama": tf.LlamaConfig(**SIZES, rope_theta=500000.0, rope_scaling=LLAMA3, rms_norm_eps=1e-5),
    "llama-biases": tf.LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True, rope_scaling=dict(type="linear", factor=2.5)),
    "llama-value-head": tf.LlamaConfig(**SIZES),
    "qwen2": tf.Qwen2Config(**SIZES, rope_theta=1e6),
    "qwen2-window": tf.Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=4, max_window_layers=1),
    "qwen2-two-layers": tf.Qwen2Config(**SIZES),
    "qwen3": tf.Qwen3Config(**SIZES, head_dim=6, rope_theta=1e6),
    "mistral": tf.MistralConfig(**SIZES, sliding_window=5, rms_norm_eps=1e-5),
    "gemma2": tf.Gemma2Config(**SIZES, head_dim=6, query_pre_attn_scalar=11, sliding_window=4, attn_logit_softcapping=2.0),
}


def fill(tensors):
    for key, p in tensors:
        with torch.no_grad():
            p.normal_(0, 0.45 if p.dim() > 1 else 0.2)
            if "norm" in key and p.dim() == 1 and "gemma" not in key: p.add_(1)


def make(name, config):
    torch.manual_seed(sum(map(ord, name)))
    plain = name in ("llama-value-head", "qwen2-two-layers")
    auto = tf.AutoModel if plain else tf.AutoModelForSequenceClassification
    model = auto.from_config(config, attn_implementation="eager").eval()
    fill((("gemma." if name == "gemma2" else "") + k, p) for k, p in model.named_parameters())
    if name == "llama-value-head": head = torch.nn.ModuleDict({"v_head": torch.nn.ModuleDict({"summary": torch.nn.Linear(16, 1)})})
    if name == "qwen2-two-layers": head = torch.nn.ModuleDict({"score": torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))})
    if plain: fill(head.named_parameters())
    stored = torch.float32 if name == "llama-value-head" else torch.bfloat16
    state = {("model." if plain else "") + k: v.to(stored) for k, v in model.state_dict().items()}
    if plain: state |= {k: v.to(stored) for k, v in head.state_dict().items()}
    if name == "llama-value-head": state["lm_head.weight"] = torch.zeros(37, 16)
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    with torch.no_grad():
        model.load_state_dict({k.removeprefix("model.") if plain else k: v.float() for k, v in state.items() if not k.startswith(("v_head", "lm_head")) and not (plain and k.startswith("score"))})
        if plain: head.load_state_dict({k: v.float() for k, v in state.items() if k.startswith(("v_head", "score"))})
    spelled = config.to_diff_dict()
    for k in ("torch_dtype", "dtype", "layer_types", "_attn_implementation_autoset"): spelled.pop(k, None)
    if name == "qwen3":  # as transformers 5 spells it
        spelled["rope_parameters"] = {"rope_theta": spelled.pop("rope_theta"), "rope_type": "default"}
        spelled.pop("rope_scaling", None)
    json.dump(spelled, open(os.path.join(folder, "config.json"), "w"), indent=1)
    lengths, pad = [11, 7, 4, 9], config.pad_token_id
    ids = torch.randint(4, 37, (4, 11))
    ids[3, 4] = pad
    mask = (torch.arange(11)[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.where(mask == 1, ids, pad)
    with torch.no_grad():
        if plain:
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            last = states[torch.arange(4), torch.tensor(lengths) - 1]
            score = (head["v_head"]["summary"] if name == "llama-value-head" else head["score"])(last)[:, 0]
        else: score = model(input_ids=ids, attention_mask=mask).logits[:, 0]
    save_file({"item/in/input_ids": ids, "item/in/attention_mask": mask, "item/out/utility_logit": score.contiguous()}, os.path.join(folder, "golden.safetensors"))
    print(name, [round(x, 3) for x in score.tolist()])


for name, config in CASES.items(): make(name, config)
