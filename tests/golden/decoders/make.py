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
SIZES_GATED = {**SIZES, "vocab_size": 43}
OBJECTIVES, TEMPERATURE = 5, 2.0
PROMPT_END = {"<|eot_id|>": 37, "<|start_header_id|>": 38, "assistant": 39, "<|end_header_id|>": 40, "\u010a\u010a": 41}


class Gating(torch.nn.Module):
    """RLHFlow/ArmoRM-Llama3-8B-v0.1, modeling_custom.py: GatingNetwork."""

    def __init__(self):
        super().__init__()
        self.logit_scale = torch.nn.Parameter(torch.ones(1))
        self.layers = torch.nn.ModuleList([torch.nn.Linear(16, 12), torch.nn.Linear(12, 12), torch.nn.Linear(12, OBJECTIVES)])

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1: x = torch.relu(x)
        return torch.softmax(x / TEMPERATURE, dim=1) * self.logit_scale[0]


def make_gated():
    """As LlamaForRewardModelWithGating, with a tokenizer of a few words."""
    torch.manual_seed(5)
    config = tf.LlamaConfig(**SIZES_GATED, rope_theta=500000.0)
    model, gating, regression = tf.LlamaModel._from_config(config, attn_implementation="eager").eval(), Gating(), torch.nn.Linear(16, OBJECTIVES, bias=False)
    for module in (model, gating, regression): fill(module.named_parameters())
    mix = torch.eye(OBJECTIVES) - 0.3 * torch.rand(OBJECTIVES, OBJECTIVES)
    stored = lambda t: t.detach().to(torch.bfloat16)
    state = {f"model.{k}": stored(v) for k, v in model.state_dict().items()} | {f"gating.{k}": stored(v) for k, v in gating.state_dict().items()}
    state |= {"regression_layer.weight": stored(regression.weight), "reward_transform_matrix": stored(mix)}
    for module, prefix in ((model, "model."), (gating, "gating."), (regression, "regression_layer.")):
        module.load_state_dict({k.removeprefix(prefix): v.float() for k, v in state.items() if k.startswith(prefix)})
    folder = os.path.join(HERE, "llama-gating")
    os.makedirs(folder, exist_ok=True)
    save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
    spelled = config.to_diff_dict() | {"architectures": ["LlamaForRewardModelWithGating"], "num_objectives": OBJECTIVES, "gating_temperature": TEMPERATURE}
    for k in ("torch_dtype", "dtype", "_attn_implementation_autoset"): spelled.pop(k, None)
    json.dump(spelled, open(os.path.join(folder, "config.json"), "w"), indent=1)
    words = {f"w{i}": i for i in range(37)} | {k: v for k, v in PROMPT_END.items() if not k.startswith("<")}
    special = [{"id": v, "content": k, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for k, v in PROMPT_END.items() if k.startswith("<")]
    vocabulary = {"version": "1.0", "added_tokens": special, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                  "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": words, "merges": []}}
    json.dump(vocabulary, open(os.path.join(folder, "tokenizer.json"), "w"), indent=1)
    end, pad = list(PROMPT_END.values()), config.pad_token_id
    ids = torch.randint(4, 37, (4, 16))
    lengths = [16, 12, 11, 14]
    ids[0, 2:7] = torch.tensor(end)  # an earlier turn; the last counts
    for row, at in enumerate((9, 4, 6, 9)): ids[row, at : at + 5] = torch.tensor(end)
    mask = (torch.arange(16)[None] < torch.tensor(lengths)[:, None]).long()
    ids = torch.where(mask == 1, ids, pad)

    def prompt_end(row):
        return max(j for j in range(len(row) - 4) if row[j : j + 5] == end)

    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        rows = torch.arange(4)
        rewards = regression(states[rows, torch.tensor(lengths) - 1]) @ state["reward_transform_matrix"].float()
        score = (gating(states[rows, torch.tensor([prompt_end(row) for row in ids.tolist()])]) * rewards).sum(1)
    save_file({"item/in/input_ids": ids, "item/in/attention_mask": mask, "item/out/utility_logit": score.contiguous()}, os.path.join(folder, "golden.safetensors"))
    print("llama-gating", [round(x, 3) for x in score.tolist()])


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
make_gated()
