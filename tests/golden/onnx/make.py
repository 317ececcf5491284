"""Writes the models beside it with the reference implementation, `onnx` 1.23.2 (IR version 13). Run: python make.py"""
import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).parent
DIMS = [2, 3]


def save(name, model):
    (HERE / name).write_bytes(model.SerializeToString(deterministic=True))


def relu_graph(name="g"):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    return helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], name, [x], [y])


def everything():
    """Fields of IR versions 9 to 13, and every kind of type and attribute."""
    graph = relu_graph()
    node = graph.node[0]
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'relu']")
    configuration = node.device_configurations.add(configuration_id="two", pipeline_stage=1)
    sharding = configuration.sharding_spec.add(tensor_name="x", device=[-1, 0])
    sharding.index_to_device_group_map.add(key=-1, value=[0, 1])
    sharding.sharded_dim.add(axis=-1).simple_sharding.add(dim_param="batch", num_shards=2)
    graph.node.add(op_type="F", domain="local", overload="v2", input=["y"], output=["z"], name="")
    attributes = helper.make_node(
        "Attributes", [], ["a"], domain="local",
        f=-0.5, i=2**63 - 1, j=-(2**63), s=b"\xff\x00", t=numpy_helper.from_array(np.float32(3)), g=relu_graph("body"),
        floats=[1.5, float("inf")], ints=[0, -1, 2**40], strings=["a", ""], tensors=[numpy_helper.from_array(np.arange(2))],
        graphs=[relu_graph("b1"), relu_graph("b2")], tp=helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None)),
    )
    graph.node.append(attributes)
    graph.initializer.append(helper.make_tensor("int4", TensorProto.INT4, [3], [1, -2, 7]))
    graph.initializer.append(helper.make_tensor("uint2", TensorProto.UINT2, [5], [0, 1, 2, 3, 1]))
    graph.initializer.append(helper.make_tensor("text", TensorProto.STRING, [2], ["ä".encode(), b"\xff"]))
    graph.initializer.append(numpy_helper.from_array(np.arange(600, dtype=np.float32), "large"))
    graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            helper.make_tensor("sparse", TensorProto.FLOAT, [1], [2.0]),
            helper.make_tensor("index", TensorProto.INT64, [1], [3]), [5],
        )
    )
    graph.quantization_annotation.add(tensor_name="y").quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    graph.value_info.append(helper.make_value_info("map", helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(1, [2]))))
    optional = helper.make_optional_type_proto(helper.make_sparse_tensor_type_proto(1, [None, "n", 0]))
    graph.value_info.append(helper.make_value_info("maybe", optional))
    opaque = onnx.TypeProto(denotation="")
    opaque.opaque_type.domain, opaque.opaque_type.name = "d", "n"
    graph.value_info.append(helper.make_value_info("opaque", opaque))
    function = helper.make_function(
        "local", "F", ["in"], ["out"], [helper.make_node("Identity", ["in"], ["out"])], [helper.make_opsetid("", 23)],
        ["alpha"], [helper.make_attribute("beta", 1)], overload="v2",
    )
    model = helper.make_model(
        graph, ir_version=13, opset_imports=[helper.make_opsetid("", 23), helper.make_opsetid("local", 1)], functions=[function],
        producer_name="make.py", doc_string="\ufeffä 🙂",
    )
    model.metadata_props.add(key="empty", value="")
    model.training_info.add(algorithm=relu_graph("step")).update_binding.add(key="w", value="w1")
    model.configuration.add(name="two", num_devices=2, device=["cuda:0", "cuda:1"])
    return model


def tensors():
    """One initializer of each type, in its typed field and as raw data, with the bytes they stand for."""
    graph = relu_graph()
    expected = {}
    values = [0, 1, 2, 3, 100, 127]
    for name in ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64",
                 "UINT64", "BOOL", "COMPLEX64", "COMPLEX128"]:
        kind = getattr(TensorProto, name)
        own = [bool(v % 2) for v in values] if name == "BOOL" else [v if name.startswith("U") else -v for v in values]
        typed = helper.make_tensor(name, kind, DIMS, own)
        array = numpy_helper.to_array(typed)
        raw = numpy_helper.from_array(array, f"{name}.raw")
        raw.data_type = kind
        assert not typed.raw_data and raw.raw_data
        graph.initializer.extend([typed, raw])
        expected[name] = array.tobytes().hex()
    (HERE / "tensors.json").write_text(json.dumps(expected, indent=1))
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 14)])


def external():
    graph = relu_graph()
    graph.initializer.append(numpy_helper.from_array(np.arange(500, dtype=np.float32), "w"))
    graph.initializer.append(numpy_helper.from_array(np.arange(700, dtype=np.int64), "v"))
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 14)])
    onnx.save(model, HERE / "external.onnx", save_as_external_data=True, location="external.bin", size_threshold=0)


(HERE / "external.bin").unlink(missing_ok=True)
save("everything.onnx", everything())
save("tensors.onnx", tensors())
external()
