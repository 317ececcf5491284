"""LoRA adapters of tests/golden/decoders/qwen2, made and merged by PEFT.

    python3 make.py        needs torch 2.15.0, transformers 4.57.6, peft 0.21.2, safetensors

A folder each: adapter_config.json and adapter_model.safetensors as save_pretrained writes them, golden.safetensors with inputs and the score
of the adapted model in float32.
"""
import os
import shutil
import torch
import transformers as tf
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
BASE = os.path.join(HERE, "..", "decoders", "qwen2")
CASES = {
    "plain": LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "o_proj", "up_proj"], modules_to_save=["score"], task_type="SEQ_CLS"),
    "patterns": LoraConfig(r=2, lora_alpha=3, use_rslora=True, target_modules=["v_proj", "down_proj"], rank_pattern={"down_proj": 4},
                           alpha_pattern={"layers\\.[01]\\.mlp\\.down_proj": 9}, task_type="SEQ_CLS", modules_to_save=[]),
    "dora": LoraConfig(r=2, lora_alpha=3, use_dora=True, target_modules=["v_proj"], task_type="SEQ_CLS", modules_to_save=[]),
}

for name, config in CASES.items():
    torch.manual_seed(len(name))
    model = get_peft_model(tf.AutoModelForSequenceClassification.from_pretrained(BASE, torch_dtype=torch.float32, attn_implementation="eager").eval(), config)
    for key, p in model.named_parameters():
        if "lora_" in key or "modules_to_save" in key: torch.nn.init.normal_(p, 0, 0.4)
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    path = os.path.join(folder, "adapter_config.json")
    text = open(path).read().replace(BASE, "decoders/qwen2")
    open(path, "w").write(text)
    golden = load_file(os.path.join(BASE, "golden.safetensors"))
    feeds = {k.removeprefix("item/in/"): v for k, v in golden.items() if k.startswith("item/in/")}
    with torch.no_grad(): score = model(**feeds).logits[:, 0]
    save_file({**{f"item/in/{k}": v for k, v in feeds.items()}, "item/out/utility_logit": score.contiguous()}, os.path.join(folder, "golden.safetensors"))
    print(name, score.tolist())
