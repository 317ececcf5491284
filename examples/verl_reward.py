"""A reward function for verl: custom_reward_function.path=verl_reward.py, name=compute_score. Start `hpsv3 serve` first."""

import os

import aiohttp

URL = os.environ.get("HPSV3_URL", "http://127.0.0.1:8080")
HEADERS = {"Authorization": f"Bearer {os.environ['HPSV3_TOKEN']}"} if "HPSV3_TOKEN" in os.environ else {}


async def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs) -> dict:
    body = {"input": solution_str, "use_activation": False}
    async with aiohttp.ClientSession(headers=HEADERS, raise_for_status=True) as session:
        async with session.post(f"{URL}/classify", json=body) as answer:
            return {"score": (await answer.json())["data"][0]["probs"][0]}
