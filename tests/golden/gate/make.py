"""Makes the tiny models of tests/core/gate with the onnx package (1.23), and their golden outputs with numpy (float64).

    python make.py        # writes *.onnx and golden.safetensors beside this file
"""
import json
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = Path(__file__).parent
F32, I64 = TensorProto.FLOAT, TensorProto.INT64
SIDE, DIM, VOCAB, TOKENS = 4, 16, 32, 10
rng = np.random.default_rng(3)


def value(name, shape, dtype=F32):
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{op}_{outputs[0]}", **attributes)


def save(name, nodes, inputs, outputs, weights, manifest=None):
    graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    if manifest:
        model.metadata_props.add(key="hpsv3.manifest", value=json.dumps(manifest))
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def manifest(modality, mode, inputs, outputs, dtype="fp32"):
    return {
        "schema": "hpsv3/manifest@1", "architecture": "test", "modality": modality, "mode": mode, "dtype": dtype,
        "decision": "utility-difference" if mode == "item" else "pair-head", "inputs": inputs,
        "outputs": [{"name": n, "dtype": "F32", "shape": s, "meaning": "test", "range": [None, None]} for n, s in outputs],
        "session": {}, "calibrator": None, "lineage": [],
    }


PIXELS = {"color": "RGB", "resize": {"exact": [SIDE, SIDE], "kernel": "bilinear", "antialias": True}, "crop": None, "scale": 1 / 255,
          "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
f32 = lambda *shape: rng.normal(size=shape).astype(np.float32)

# --- item: pixels -> embedding -> utility ------------------------------------------------------------------------
ITEM_IN = [value("pixel_values", ["batch", 3, SIDE, SIDE])]
ITEM_OUT = [("embedding", ["batch", DIM]), ("utility_logit", ["batch"]), ("utility", ["batch"])]
ITEM_MANIFEST = manifest("image", "item", [{"name": "pixel_values", "dtype": "F32", "shape": ["batch", 3, SIDE, SIDE],
                                            "preprocess": {"kind": "image", "layout": "NCHW", **PIXELS}}], ITEM_OUT)
ITEM = {"w1": f32(3 * SIDE * SIDE, 24) / 10, "b1": f32(24), "w2": f32(24, DIM) / 4, "w3": f32(DIM, 1), "b3": f32(1), "axes": np.array([1], np.int64)}


def item_nodes(prefix=""):
    return [
        node("Flatten", ["pixel_values"], [f"{prefix}flat"]),
        node("Gemm", [f"{prefix}flat", "w1", "b1"], [f"{prefix}wide"]),
        node("Tanh", [f"{prefix}wide"], [f"{prefix}active"]),
        node("MatMul", [f"{prefix}active", "w2"], ["embedding"]),
        node("Gemm", ["embedding", "w3", "b3"], [f"{prefix}score"]),
        node("Squeeze", [f"{prefix}score", "axes"], ["utility_logit"]),
        node("Tanh", ["utility_logit"], ["utility"]),
    ]


def save_item(name, nodes=None, weights=None, manifest=ITEM_MANIFEST, inputs=None):
    save(name, nodes or item_nodes(), inputs or ITEM_IN, [value(n, s) for n, s in ITEM_OUT], weights or ITEM, manifest)


save_item("item")
save_item("item-plain", manifest=None)
save_item("item-flipped", weights={**ITEM, "w2": -ITEM["w2"]})  # the signs of one inner layer
save_item("item-flipped-deep", weights={**ITEM, "w1": -ITEM["w1"]})
save_item("item-flipped-renamed", item_nodes("other_"), {**ITEM, "w2": -ITEM["w2"]})
save_item("item-nudged", weights={**ITEM, "b3": ITEM["b3"] + np.float32(2e-6)})
save_item("item-shifted", weights={**ITEM, "b3": ITEM["b3"] + np.float32(0.5)})  # all scores move, no decision does
save_item("item-nan", weights={**ITEM, "b3": np.array([np.nan], np.float32)})
save_item("item-fixed", inputs=[value("pixel_values", [1, 3, SIDE, SIDE])])
save_item("item-bad-manifest", manifest={**ITEM_MANIFEST, "mode": "triple"})
# Each row minus the mean of its batch: alone it is 0.
mean = [node("ReduceMean", ["wide"], ["mean"], axes=[0]), node("Sub", ["wide", "mean"], ["centred"])]
nodes = item_nodes()
save_item("item-batch-mean", [*nodes[:2], *mean, node("Tanh", ["centred"], ["active"]), *nodes[3:]])
# The row at place 0 of a batch is favoured: only order shows it.
row_zero = [node("Shape", ["score"], ["shape"]), node("Gather", ["shape", "zero"], ["rows"]), node("Range", ["zero", "rows", "one"], ["places"]),
            node("Cast", ["places"], ["floats"], to=F32), node("Unsqueeze", ["floats", "axes"], ["column"]), node("Add", ["score", "column"], ["placed"])]
save_item("item-place", [*nodes[:5], *row_zero, node("Squeeze", ["placed", "axes"], ["utility_logit"]), nodes[6]],
          {**ITEM, "zero": np.int64(0), "one": np.int64(1)})

# --- head: two embeddings -> logit -------------------------------------------------------------------------------
HEAD = {"u": f32(DIM, 1), "p1": f32(2 * DIM, 24) / 4, "p2": f32(24, 1), "axes": np.array([1], np.int64), "two": np.float32(2)}
HEAD_OUT = [(n, ["batch"]) for n in ("left_utility_logit", "right_utility_logit", "logit", "pair_logit")]
HEAD_MANIFEST = manifest("image", "head", [{"name": n, "dtype": "F32", "shape": ["batch", DIM],
                                            "preprocess": {"kind": "embedding", "encoder": None, "normalize": "none"}} for n in ("left", "right")], HEAD_OUT)


def head_nodes():
    nodes = []
    for side in ("left", "right"):
        nodes += [node("MatMul", [side, "u"], [f"{side}_u"]), node("Squeeze", [f"{side}_u", "axes"], [f"{side}_utility_logit"])]
    for order, (a, b) in {"ab": ("left", "right"), "ba": ("right", "left")}.items():
        nodes += [node("Concat", [a, b], [f"cat_{order}"], axis=1), node("MatMul", [f"cat_{order}", "p1"], [f"h_{order}"]),
                  node("Tanh", [f"h_{order}"], [f"a_{order}"]), node("MatMul", [f"a_{order}", "p2"], [f"l_{order}"]),
                  node("Squeeze", [f"l_{order}", "axes"], ["logit" if order == "ab" else "reversed"])]
    return [*nodes, node("Sub", ["logit", "reversed"], ["difference"]), node("Div", ["difference", "two"], ["pair_logit"])]


HEAD_IN = [value("left", ["batch", DIM]), value("right", ["batch", DIM])]
save("head", head_nodes(), HEAD_IN, [value(n, s) for n, s in HEAD_OUT], HEAD, HEAD_MANIFEST)

# --- text: ids and mask -> masked mean of the embeddings ---------------------------------------------------------
TEXT = {"table": f32(VOCAB, DIM), "w3": f32(DIM, 1), "last": np.array([-1], np.int64), "one": np.array([1], np.int64)}
text_nodes = [
    node("Gather", ["table", "input_ids"], ["words"]), node("Cast", ["attention_mask"], ["mask"], to=F32),
    node("Unsqueeze", ["mask", "last"], ["column"]), node("Mul", ["words", "column"], ["kept"]), node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
    node("ReduceSum", ["mask", "one"], ["count"]), node("Div", ["sum", "count"], ["embedding"]), node("MatMul", ["embedding", "w3"], ["score"]),
    node("Squeeze", ["score", "one"], ["utility_logit"]),
]
TEXT_MANIFEST = manifest("text", "item", [
    {"name": "input_ids", "dtype": "I64", "shape": ["batch", "tokens"],
     "preprocess": {"kind": "text", "maxTokens": TOKENS, "tokenizer": None, "vocabSize": VOCAB, "pad": 0, "specialTokens": True}},
    {"name": "attention_mask", "dtype": "I64", "shape": ["batch", "tokens"], "preprocess": {"kind": "text-mask"}},
], [("utility_logit", ["batch"])])
save("text", text_nodes, [value("input_ids", ["batch", "tokens"], I64), value("attention_mask", ["batch", "tokens"], I64)],
     [value("utility_logit", ["batch"])], TEXT, TEXT_MANIFEST)
# A vocabulary of 4, and no manifest to tell so: made-up ids are out of range.
save("text-small", text_nodes, [value("input_ids", ["batch", "tokens"], I64), value("attention_mask", ["batch", "tokens"], I64)],
     [value("utility_logit", ["batch"])], {**TEXT, "table": TEXT["table"][:4]}, None)

# --- golden outputs, computed without onnxruntime -----------------------------------------------------------------
d = lambda weights: {k: v.astype(np.float64) for k, v in weights.items()}
pixels = f32(2, 3, SIDE, SIDE)
w = d(ITEM)
embedding = np.tanh(pixels.reshape(2, -1) @ w["w1"] + w["b1"]) @ w["w2"]
utility_logit = (embedding @ w["w3"] + w["b3"])[:, 0]
left, right = f32(3, DIM), f32(3, DIM)
h = d(HEAD)
logit = lambda a, b: (np.tanh(np.concatenate([a, b], 1) @ h["p1"]) @ h["p2"])[:, 0]
golden = {
    "image/in/pixel_values": pixels, "image/out/embedding": embedding, "image/out/utility_logit": utility_logit, "image/out/utility": np.tanh(utility_logit),
    "image/out/not_exported": np.zeros(2),
    "image-text/in/pixel_values": pixels, "image-text/in/input_ids": np.zeros((2, 3), np.int64), "image-text/out/utility_logit": np.zeros(2),
    "head/in/left": left, "head/in/right": right, "head/out/logit": logit(left, right), "head/out/pair_logit": (logit(left, right) - logit(right, left)) / 2,
    "head/out/left_utility_logit": (left @ h["u"])[:, 0],
}
save_file({k: np.ascontiguousarray(v if v.dtype == np.int64 else v.astype(np.float32)) for k, v in golden.items()}, str(HERE / "golden.safetensors"))
