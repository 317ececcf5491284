"""Requests of public RL trainers as their clients write them, and answers that they read: python make.py, in this folder.

The shapes are read from the clients' sources (sources.json names repository, path and commit); the bytes are our own. An answer holds
the reward 0.5 once for each picture, which a test replaces by what its model gives.
"""

import base64
import io
import json
import math
import pickle
import struct

import numpy as np
from PIL import Image

SOURCES = {
    "flow-grpo": {
        "repository": "yifan123/flow_grpo",
        "path": "flow_grpo/rewards.py",
        "commit": "54809b5fcf4d3930d2a17fa553928704bd0b719e",
        "function": "unifiedreward_score_remote",
    },
    "flow-grpo-deqa": {
        "repository": "yifan123/flow_grpo",
        "path": "flow_grpo/rewards.py",
        "commit": "54809b5fcf4d3930d2a17fa553928704bd0b719e",
        "function": "deqa_score_remote",
    },
    "verl-omni": {
        "repository": "verl-project/verl-omni",
        "path": "verl_omni/utils/reward_score/http_scorer_client.py",
        "commit": "0ef63e57e2af137519e24aeb375b9717dd018826",
        "function": "compute_score",
    },
    "unirl": {
        "repository": "Tencent-Hunyuan/UniRL",
        "path": "unirl/reward/remote.py",
        "commit": "0e713d6307ab5ab45e6c912a4c1bd8a71f009f55",
        "function": "RemoteRewardBackend",
    },
}
REWARD = 0.5


def picture(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((36, 32), Image.NEAREST).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


def write(name, data):
    with open(name, "wb") as file:
        file.write(data)


PICTURES = [picture(0), picture(1)]
PROMPTS = ["a red fox", "ein Füchschen im Schnee"]

# np.array_split gives arrays, of which prompts are sent as one: numpy's own pickle of '<U23'.
(prompts,) = np.array_split(PROMPTS, 1)
write("flow-grpo.request.bin", pickle.dumps({"images": PICTURES, "prompts": prompts}))
write("flow-grpo-deqa.request.bin", pickle.dumps({"images": PICTURES}))
write("verl-omni.request.bin", pickle.dumps({"images": PICTURES[:1], "prompts": PROMPTS[:1], "metadata": {}}))

identity = {
    "request_id": "step-3-sample-0",
    "sample_id": "step-3-sample-0",
    "group_id": "step-3",
    "source_rank": 0,
    "policy_version": 3,
    "scorer_version": None,
    "idempotency_key": "0f" * 32,
}
turn = {"text": PROMPTS[0], "image_b64": base64.b64encode(PICTURES[0]).decode("ascii")}
request = {"history": [turn], "required_rewards": ["hpsv3"], "metadata": {"policy_version": 3}, **identity}
# As requests writes `json=`.
write("unirl.request.bin", json.dumps({"protocol_version": "1", "requests": [request]}, allow_nan=False).encode())


def pickled(rewards):
    """{"outputs": rewards, "scores": rewards} in protocol 2, text and lists as the server writes them."""
    floats = b"".join(b"G" + struct.pack(">d", reward) for reward in rewards)
    entry = lambda key: b"X" + struct.pack("<I", len(key)) + key.encode() + b"](" + floats + b"e"
    return b"\x80\x02}(" + entry("outputs") + entry("scores") + b"u."


for name, count, key in [("flow-grpo", 2, "outputs"), ("flow-grpo-deqa", 2, "outputs"), ("verl-omni", 1, "scores")]:
    answer = pickled([REWARD] * count)
    # What each client does with it.
    assert pickle.loads(answer)[key] == [REWARD] * count and "error" not in pickle.loads(answer)
    write(f"{name}.answer.bin", answer)

answer = {"results": [{"hpsv3": {"logit": REWARD}}], "errors": [{}], "identities": [identity], "protocol_version": "1"}
assert len(answer["results"]) == len(answer["errors"]) == len(answer["identities"]) == 1
assert all(math.isfinite(value) for value in answer["results"][0]["hpsv3"].values())
write("unirl.answer.bin", json.dumps(answer, separators=(",", ":")).encode())
write("sources.json", (json.dumps(SOURCES, indent=2) + "\n").encode())
