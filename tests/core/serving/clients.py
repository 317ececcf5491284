"""Unchanged clients against a running server: python clients.py URL TOKEN PICTURE. Prints what each got, as JSON."""

import asyncio
import base64
import json
import pickle
import sys

import numpy as np
import requests

url, token, picture_path = sys.argv[1:4]
host = url.split("//")[1]
headers = {"Authorization": f"Bearer {token}"}
picture = open(picture_path, "rb").read()
seen = {}


def tritonclient_http():
    import tritonclient.http as triton

    # It adds its own headers to the ones it is given: each request has a copy.

    client = triton.InferenceServerClient(host)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("texts")
    assert client.get_model_metadata("texts", headers=dict(headers))["name"] == "texts"
    out = {}
    for name, binary, compression in [("json", False, None), ("binary", True, None), ("gzip", True, "gzip"), ("deflate", True, "deflate")]:
        given = triton.InferInput("text", [2], "BYTES")
        given.set_data_from_numpy(np.array([b"hello", "a röd fox".encode()], dtype=object), binary_data=binary)
        asked = [triton.InferRequestedOutput(n, binary_data=binary) for n in ("score", "logit")]
        got = client.infer("texts", [given], outputs=asked, headers=dict(headers), request_compression_algorithm=compression)
        out[name] = got.as_numpy("logit").tolist()
    given = triton.InferInput("image", [1], "BYTES")
    given.set_data_from_numpy(np.array([picture], dtype=object))
    text = triton.InferInput("text", [1], "BYTES")
    text.set_data_from_numpy(np.array([b"a red fox"], dtype=object))
    out["image"] = client.infer("hpsv3", [given, text], headers=dict(headers)).as_numpy("logit").tolist()
    try:
        client.infer("absent", [given], headers=dict(headers))
    except triton.InferenceServerException as error:
        out["error"] = error.status()
    return out


def kserve_rest():
    from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

    async def ask():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        request = InferRequest("texts", [InferInput("text", [1], "BYTES", data=["hello"])])
        got = await client.infer(url, request, model_name="texts", headers=headers)
        assert await client.is_server_ready(url)
        return {output.name: output.data for output in got.outputs}

    return asyncio.run(ask())["logit"]


def openai_embeddings():
    from openai import NotFoundError, OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    assert [model.id for model in client.models.list().data] == ["hpsv3", "texts"]
    try:
        client.embeddings.create(model="absent", input="x")
        raise AssertionError("no error")
    except NotFoundError:
        pass
    return client.embeddings.create(model="texts", input=["hello"]).data[0].embedding


def cohere_rerank():
    import cohere

    client = cohere.ClientV2(api_key=token, base_url=url)
    got = client.rerank(model="texts", query="q", documents=["a", "b c", "hello"], top_n=2)
    return [(result.index, result.relevance_score) for result in got.results]


def vllm_requests():
    body = {"model": "texts", "input": ["hello"], "use_activation": False}
    return requests.post(f"{url}/classify", json=body, headers=headers).json()["data"][0]["probs"]


def verl_sglang():
    body = {"model": "texts", "input": "hello"}
    return requests.post(f"{url}/v1/embeddings", json=body, headers=headers).json()["data"][-1]["embedding"][-1]


def openrlhf():
    return requests.post(f"{url}/get_reward", json={"query": ["hello"], "prompts": [""]}, headers=headers).status_code


def tei():
    return requests.post(f"{url}/predict", json={"inputs": "hello", "raw_scores": True}, headers=headers).status_code


def diffusion_trainers():
    """The requests of flow_grpo (yifan123/flow_grpo, flow_grpo/rewards.py) and of verl-omni (verl_omni/utils/reward_score/http_scorer_client.py)."""
    flow = pickle.dumps({"images": [picture], "prompts": np.array(["a red fox"])})
    omni = pickle.dumps({"images": [picture], "prompts": ["a red fox"], "metadata": {}})
    address = f"{url}/t/{token}"
    outputs = pickle.loads(requests.post(address, data=flow).content)["outputs"]
    scores = pickle.loads(requests.post(address, data=omni).content)["scores"]
    return outputs + scores


def unirl():
    turn = {"text": "a red fox", "image_b64": base64.b64encode(picture).decode()}
    body = {"requests": [{"history": [turn], "required_rewards": ["hpsv3"], "metadata": None}]}
    assert requests.get(f"{url}/health").json()["rewards"]["hpsv3"] == ["ready"]
    return requests.post(f"{url}/score", json=body, headers=headers).json()["results"][0]["hpsv3"]["logit"]


for ask in [tritonclient_http, kserve_rest, openai_embeddings, cohere_rerank, vllm_requests, verl_sglang, openrlhf, tei, diffusion_trainers, unirl]:
    try:
        seen[ask.__name__] = ask()
    except ImportError as error:
        seen[ask.__name__] = f"skipped: {error.name}"
print(json.dumps(seen))
