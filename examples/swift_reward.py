"""A reward for ms-swift: --external_plugins swift_reward.py --reward_funcs hpsv3. Start `hpsv3 serve --model model.onnx` first."""

import os

import aiohttp
from swift.plugin import AsyncORM, orms

URL = os.environ.get("HPSV3_URL", "http://127.0.0.1:8080")
HEADERS = {"Authorization": f"Bearer {os.environ['HPSV3_TOKEN']}"} if "HPSV3_TOKEN" in os.environ else {}


class HPSv3(AsyncORM):
    async def __call__(self, completions, **kwargs) -> list[float]:
        body = {"input": [completion or " " for completion in completions], "use_activation": False}
        async with aiohttp.ClientSession(headers=HEADERS, raise_for_status=True) as session:
            async with session.post(f"{URL}/classify", json=body) as answer:
                return [row["probs"][0] for row in (await answer.json())["data"]]


orms["hpsv3"] = HPSv3
