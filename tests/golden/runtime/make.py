"""Makes the small models of tests/core/runtime with the onnx package (1.23): well-behaved ones and ones that attack.

    python make.py        # writes *.onnx beside this file
"""
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
F32, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def save(name, nodes, inputs, outputs, initializers=(), opset=14, domains=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())
    return model


def value(name, shape, dtype=F32):
    return helper.make_tensor_value_info(name, dtype, shape)


def const(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"{op}_{outputs[0]}", **attributes)


rng = np.random.default_rng(0)
mlp = [
    const("w1", rng.normal(size=(4, 8)).astype(np.float32)), const("b1", rng.normal(size=8).astype(np.float32)),
    const("w2", rng.normal(size=(8, 2)).astype(np.float32)), const("b2", rng.normal(size=2).astype(np.float32)),
]
save("mlp", [node("Gemm", ["x", "w1", "b1"], ["h"]), node("Relu", ["h"], ["a"]), node("Gemm", ["a", "w2", "b2"], ["y"])],
     [value("x", ["batch", 4])], [value("y", ["batch", 2])], mlp)

# Every dtype passes through unchanged; the shapes are symbolic.
DTYPES = {"F64": TensorProto.DOUBLE, "F32": F32, "F16": TensorProto.FLOAT16, "I64": I64, "I32": TensorProto.INT32, "I8": TensorProto.INT8,
          "U8": TensorProto.UINT8, "BOOL": BOOL}
save("identity", [node("Identity", [f"in_{d}"], [f"out_{d}"]) for d in DTYPES],
     [value(f"in_{d}", ["n", "length"], t) for d, t in DTYPES.items()],
     [value(f"out_{d}", ["n", "length"], t) for d, t in DTYPES.items()])

# --- attacks: `x` is a small input, the operator makes gigabytes of it ------------------------------------------
COUNT = 1 << 31  # float32 elements: 8 GiB, so the allocation succeeds and the watch on memory must stop it
x1 = [value("x", [1])]
scalar = [value("y", [])]
total = node("ReduceMax", ["big"], ["y"], keepdims=0)
shape = const("shape", np.array([COUNT], np.int64))
save("bomb-expand", [node("Expand", ["x", "shape"], ["big"]), total], x1, scalar, [shape])
TILES = 1_000_000_000  # onnxruntime itself refuses to tile to more than 4 GiB
save("bomb-tile", [node("Tile", ["x", "shape"], ["big"]), total], x1, scalar, [const("shape", np.array([TILES], np.int64))])
save("bomb-tile-refused", [node("Tile", ["x", "shape"], ["big"]), total], x1, scalar, [shape])
save("bomb-constant-of-shape", [node("ConstantOfShape", ["shape"], ["zeros"]), node("Add", ["zeros", "x"], ["big"]), total], x1, scalar, [shape])
save("bomb-range", [node("Range", ["zero", "end", "one"], ["big"]), total], x1, scalar,
     [const("zero", np.float32(0)), const("end", np.float32(COUNT)), const("one", np.float32(1))])
# More than any machine has: the allocation itself fails.
save("bomb-impossible", [node("Expand", ["x", "shape"], ["big"]), total], x1, scalar, [const("shape", np.array([1 << 45], np.int64))])
# Grows by 64 MiB a step: no single allocation is large.
body = helper.make_graph(
    [node("Identity", ["going"], ["still_going"]), node("Expand", ["x", "chunk_shape"], ["kept"])], "body",
    [value("step", [], I64), value("going", [], BOOL)], [value("still_going", [], BOOL), value("kept", [1 << 24])])
save("bomb-loop", [node("Loop", ["", "forever"], ["stack"], body=body),
                   node("ReduceMax", ["stack"], ["y"], keepdims=0)],
     x1, scalar, [const("chunk_shape", np.array([1 << 24], np.int64)), const("forever", np.array(True))])
spin = helper.make_graph(
    [node("Identity", ["going"], ["still_going"]), node("Add", ["sum", "x"], ["next_sum"])], "body",
    [value("step", [], I64), value("going", [], BOOL), value("sum", [1])], [value("still_going", [], BOOL), value("next_sum", [1])])
save("endless-loop", [node("Loop", ["", "forever", "x"], ["y"], body=spin)], x1, [value("y", [1])], [const("forever", np.array(True))])
save("large-output", [node("Expand", ["x", "shape"], ["y"])], x1, [value("y", ["n"])], [const("shape", np.array([1 << 20], np.int64))])

# --- models onnxruntime refuses ---------------------------------------------------------------------------------
save("custom-operator", [helper.make_node("Foo", ["x"], ["y"], domain="acme")], x1, [value("y", [1])], domains=["acme"])
save("opset-99", [node("Relu", ["x"], ["y"])], x1, [value("y", [1])], opset=99)
save("cycle", [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])], x1, [value("b", [1])])
save("undefined-input", [node("Add", ["x", "nowhere"], ["y"])], x1, [value("y", [1])])
save("strings", [node("Identity", ["x"], ["y"])], [value("x", ["n"], TensorProto.STRING)], [value("y", ["n"], TensorProto.STRING)])
# Accepted at load, impossible at run for most sizes.
save("reshape", [node("Reshape", ["x", "shape"], ["y"])], [value("x", ["n"])], [value("y", [3, "m"])], [const("shape", np.array([3, -1], np.int64))])
external = save("missing-data", [node("Add", ["x", "w"], ["y"])], x1, [value("y", [1])], [const("w", np.ones(1, np.float32))])
weight = external.graph.initializer[0]
weight.ClearField("raw_data")
weight.data_location = TensorProto.EXTERNAL
weight.external_data.add(key="location", value="nowhere.data")
(HERE / "missing-data.onnx").write_bytes(external.SerializeToString())
(HERE / "truncated.onnx").write_bytes((HERE / "mlp.onnx").read_bytes()[:100])
