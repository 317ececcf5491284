"""Makes the models of the quantization tests, and what other implementations quantize to.

onnx 1.23, onnxruntime 1.32, numpy 1.26: python make.py
Weights are seeded; each model scores items from [batch, 32] or pictures [batch, 3, 16, 16].
"""

import json
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(7)


def save(name, nodes, inits, shape=("batch", 32), extra=None):
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(v.astype(np.float32) if v.dtype != np.int64 else v, k) for k, v in inits.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)
    for key, value in (extra or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, os.path.join(HERE, f"{name}.onnx"))


def dense(i, o, gain=1.0):
    return rng.normal(size=(i, o)) * gain / np.sqrt(i)


def mlp(weights):
    nodes, value = [], "embedding"
    for i in range(len(weights)):
        last = i == len(weights) - 1
        nodes.append(helper.make_node("MatMul", [value, f"w{i}"], [f"m{i}"], name=f"layer{i}"))
        nodes.append(helper.make_node("Add", [f"m{i}", f"b{i}"], ["score" if last else f"a{i}"], name=f"bias{i}"))
        if not last:
            nodes.append(helper.make_node("Relu", [f"a{i}"], [f"r{i}"], name=f"relu{i}"))
            value = f"r{i}"
    inits = {f"w{i}": w for i, w in enumerate(weights)}
    inits.update({f"b{i}": rng.normal(size=w.shape[1]) * 0.1 for i, w in enumerate(weights)})
    return nodes, inits


nodes, inits = mlp([dense(32, 64, 1.4), dense(64, 64, 1.4), dense(64, 1, 4)])
save("mlp", nodes, inits, extra={"author": "someone"})

# A value that is NaN wherever its input is below 0: its range is NaN, the score is not, since Max takes the other side.
nan_nodes = [
    helper.make_node("Log", ["embedding"], ["logs"], name="log"),
    helper.make_node("MatMul", ["logs", "w9"], ["lost"], name="lost"),
    helper.make_node("Mul", ["lost", "nothing"], ["gone"], name="gone"),
    helper.make_node("IsNaN", ["gone"], ["isnan"], name="isnan"),
    helper.make_node("Where", ["isnan", "nothing", "nothing"], ["zeros"], name="where"),
    helper.make_node("Add", ["embedding", "zeros"], ["start"], name="start"),
]
first = helper.make_node("MatMul", ["start", "w0"], ["m0"], name="layer0")
save("nan-range", nan_nodes + [first] + nodes[1:], {**inits, "w9": dense(32, 32), "nothing": np.zeros((1,))})

# One layer ahead of the score that saturates: a large feature beside small ones that decide.
weights = [dense(32, 64, 1.4), dense(64, 64, 1.4), dense(64, 64, 1.4), dense(64, 1, 4)]
nodes2, inits2 = mlp(weights)
spiky = [
    helper.make_node("Concat", ["r1", "spike"], ["wide"], axis=1, name="widen"),
    helper.make_node("MatMul", ["wide", "w2"], ["m2"], name="saturating"),
]
spike_nodes = nodes2[:6] + [
    helper.make_node("Exp", ["r1"], ["exp"], name="exp"),
    helper.make_node("ReduceSum", ["exp", "axis"], ["sum"], keepdims=1, name="sum"),
    helper.make_node("Mul", ["sum", "big"], ["spike"], name="spike"),
] + spiky + nodes2[7:]
w2 = np.concatenate([inits2["w2"], np.zeros((1, 64))])
save("saturating", spike_nodes, {**inits2, "w2": w2, "big": np.array([50.0]), "axis": np.array([1], dtype=np.int64)})

# A float graph with nothing to multiply by.
save("no-weights", [helper.make_node("ReduceMean", ["embedding"], ["score"], axes=[1], keepdims=1, name="mean")], {})

# Convolutions: norm, Relu, residual Add, pools, Concat, Gemm.
def conv_model():
    n, i = [], {}

    def conv(name, x, cin, cout, k=3):
        i[f"{name}.w"] = rng.normal(size=(cout, cin, k, k)) / np.sqrt(cin * k * k) * 1.4
        n.append(helper.make_node("Conv", [x, f"{name}.w"], [f"{name}.c"], name=name, pads=[k // 2] * 4))
        for part, value in (("g", rng.uniform(0.5, 1.5, cout)), ("b", rng.normal(size=cout) * 0.2), ("m", rng.normal(size=cout) * 0.1), ("v", rng.uniform(0.5, 1.5, cout))):
            i[f"{name}.{part}"] = value
        n.append(helper.make_node("BatchNormalization", [f"{name}.c"] + [f"{name}.{p}" for p in "gbmv"], [f"{name}.n"], name=f"{name}.norm"))
        return f"{name}.n"

    def relu(x, name):
        n.append(helper.make_node("Relu", [x], [name], name=name))
        return name

    x = relu(conv("stem", "embedding", 3, 16), "stem.relu")
    n.append(helper.make_node("MaxPool", [x], ["pooled"], name="maxpool", kernel_shape=[2, 2], strides=[2, 2]))
    y = conv("body2", relu(conv("body1", "pooled", 16, 16), "body1.relu"), 16, 16)
    n.append(helper.make_node("Add", [y, "pooled"], ["residual"], name="residual"))
    z = relu("residual", "residual.relu")
    w = relu(conv("side", z, 16, 16, 1), "side.relu")
    n.append(helper.make_node("Concat", [z, w], ["joined"], name="join", axis=1))
    n.append(helper.make_node("GlobalAveragePool", ["joined"], ["mean"], name="gap"))
    n.append(helper.make_node("Flatten", ["mean"], ["flat"], name="flat"))
    i["head.w"] = rng.normal(size=(1, 32))
    i["head.b"] = rng.normal(size=1)
    n.append(helper.make_node("Gemm", ["flat", "head.w", "head.b"], ["score"], name="head", transB=1))
    return n, i


n, i = conv_model()
save("conv", n, i, shape=("batch", 3, 16, 16))

# onnxruntime's own entropy calibration, with as many bins as levels and with more, on heavy tails (it tries one threshold, and then many).
from onnxruntime.quantization.calibrate import HistogramCollector

data = np.concatenate([rng.laplace(size=20000), [-55.0, 60.0]]).astype(np.float32)
found = {}
for bins in (128, 2048):
    collector = HistogramCollector("entropy", symmetric=False, num_bins=bins, num_quantized_bins=128, percentile=99.99, scenario="same")
    collector.collect({"x": [data]})
    low, high = collector.compute_collection_result()["x"].range_value if hasattr(collector.compute_collection_result()["x"], "range_value") else collector.compute_collection_result()["x"][:2]
    found[str(bins)] = [float(low), float(high)]
with open(os.path.join(HERE, "entropy.json"), "w") as f:
    json.dump(found, f)
