"""A reward function for TRL: GRPOTrainer(reward_funcs=reward, ...). Start `hpsv3 serve --model model.onnx` first."""

import os

import requests

URL = os.environ.get("HPSV3_URL", "http://127.0.0.1:8080")
HEADERS = {"Authorization": f"Bearer {os.environ['HPSV3_TOKEN']}"} if "HPSV3_TOKEN" in os.environ else {}


def reward(prompts, completions, **kwargs) -> list[float | None]:
    """Logits; None, which TRL leaves out, for a completion that cannot be scored."""
    texts = [c if isinstance(c, str) else c[-1]["content"] for c in completions]
    rows = [{"type": "text", "text": text or " ", "context": str(prompt)} for prompt, text in zip(prompts, texts)]
    answer = requests.post(f"{URL}/score", json=rows, headers=HEADERS, timeout=120)
    answer.raise_for_status()
    return [row.get("logit") for row in answer.json()]
