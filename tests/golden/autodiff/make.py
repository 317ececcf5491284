"""Gradients of single operators by PyTorch, in float64 on the float32 inputs that the tests use: cases.json.

Inputs and output gradients follow a formula (`sequence`) that the tests compute too, so only the expected gradients are stored.
Run: python make.py            (torch 2.15; any version since 2.0 gives the same to 1e-6)
"""
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
OUTPUT_SEED = 97


def sequence(count, seed, low, high):
    """Distinct values (up to 1009 of them) in [low, high), as float32."""
    i = np.arange(count, dtype=np.int64)
    return (low + (high - low) * (((i * 7919 + seed * 104729) % 1009) / 1009)).astype(np.float32)


class Draw:
    """A float input that gradients are taken for."""

    def __init__(self, shape, low=-1.0, high=1.0):
        self.shape, self.low, self.high = list(shape), low, high


class Fixed:
    """A constant: an initializer."""

    def __init__(self, values, dtype="I64", shape=None):
        array = np.array(values)
        self.dtype, self.shape, self.values = dtype, list(array.shape if shape is None else shape), array.reshape(-1).tolist()


CASES = []


def attribute(value):
    if isinstance(value, str):
        return {"s": value}
    if isinstance(value, bool) or isinstance(value, int):
        return {"i": int(value)}
    if isinstance(value, float):
        return {"f": value}
    return {"ints": list(value)}


TORCH_TYPE = {"I64": torch.int64, "I32": torch.int32, "BOOL": torch.bool, "F32": torch.float64}


def case(name, op, inputs, compute, outputs=1, **attributes):
    tensors, described = [], []
    for index, given in enumerate(inputs):
        if given is None:
            tensors.append(None)
            described.append(None)
        elif isinstance(given, Draw):
            values = sequence(math.prod(given.shape), index + 1, given.low, given.high)
            tensors.append(torch.tensor(values, dtype=torch.float64).reshape(given.shape).requires_grad_())
            described.append({"shape": given.shape, "low": given.low, "high": given.high})
        else:
            tensors.append(torch.tensor(given.values, dtype=TORCH_TYPE[given.dtype]).reshape(given.shape))
            described.append({"shape": given.shape, "dtype": given.dtype, "values": given.values})
    results = compute(*tensors)
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    assert len(results) == outputs, name
    loss = sum(
        (result * torch.tensor(sequence(result.numel(), OUTPUT_SEED + k, -1, 1), dtype=torch.float64).reshape(result.shape)).sum()
        for k, result in enumerate(results)
    )
    loss.backward()
    gradients = {
        str(i): [float(f"{x:.7g}") for x in t.grad.reshape(-1).tolist()]
        for i, (given, t) in enumerate(zip(inputs, tensors))
        if isinstance(given, Draw)
    }
    CASES.append({
        "name": name, "opType": op, "attributes": {key: attribute(value) for key, value in attributes.items()},
        "inputs": described, "outputs": [list(result.shape) for result in results], "gradients": gradients,
    })


def arithmetic():
    a, b = Draw([2, 3, 4]), Draw([2, 3, 4], 0.5, 1.5)
    for op, f in (("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul), ("Div", torch.div)):
        case(f"{op} of equal shapes", op, [a, b], f)
        case(f"{op} with the right side broadcast", op, [a, Draw([3, 1], 0.5, 1.5)], f)
        case(f"{op} with both sides broadcast", op, [Draw([2, 1, 4]), Draw([5, 1, 3, 1], 0.5, 1.5)], f)
        case(f"{op} with a scalar", op, [a, Draw([], 0.5, 1.5)], f)
    case("Sum of three", "Sum", [a, Draw([3, 1]), Draw([4])], lambda *t: t[0] + t[1] + t[2])
    case("Mean of three", "Mean", [a, Draw([3, 1]), Draw([4])], lambda *t: (t[0] + t[1] + t[2]) / 3)


def products():
    for name, a, b in (
        ("of matrices", [3, 4], [4, 2]), ("of rows and a matrix", [2, 3, 4], [4, 5]), ("of batches", [2, 2, 3, 4], [2, 2, 4, 2]),
        ("with the left batch broadcast", [1, 3, 4], [2, 4, 2]), ("with the right batch broadcast", [2, 2, 3, 4], [2, 4, 2]),
        ("with a matrix on the left of a batch", [3, 4], [2, 4, 2]), ("of a vector and a matrix", [4], [4, 3]),
        ("of a matrix and a vector", [3, 4], [4]), ("of a batch and a vector", [2, 3, 4], [4]), ("of vectors", [4], [4]),
        ("of a vector and a batch", [4], [2, 4, 3]),
    ):
        case(f"MatMul {name}", "MatMul", [Draw(a), Draw(b)], torch.matmul)
    for ta in (0, 1):
        for tb in (0, 1):
            case(
                f"Gemm transA={ta} transB={tb}", "Gemm", [Draw([4, 3] if ta else [3, 4]), Draw([2, 4] if tb else [4, 2]), Draw([2])],
                lambda a, b, c: 0.5 * ((a.T if ta else a) @ (b.T if tb else b)) + 1.5 * c, transA=ta, transB=tb, alpha=0.5, beta=1.5,
            )
    case("Gemm without bias", "Gemm", [Draw([3, 4]), Draw([4, 2])], torch.matmul)
    case("Gemm with a bias of rows", "Gemm", [Draw([3, 4]), Draw([4, 2]), Draw([3, 1])], lambda a, b, c: a @ b + c)


def activations():
    x = Draw([3, 5], -3, 3)
    case("Relu", "Relu", [x], torch.relu)
    case("LeakyRelu", "LeakyRelu", [x], lambda t: F.leaky_relu(t, 0.2), alpha=0.2)
    case("Tanh", "Tanh", [x], torch.tanh)
    case("Sigmoid", "Sigmoid", [x], torch.sigmoid)
    case("Softplus", "Softplus", [x], F.softplus)


def reductions():
    x = Draw([2, 3, 4])
    ops = (
        ("ReduceSum", torch.sum), ("ReduceMean", torch.mean), ("ReduceMax", torch.amax), ("ReduceMin", torch.amin),
        ("ReduceL2", lambda t, d, keepdim: (t ** 2).sum(d, keepdim=keepdim).sqrt()), ("ReduceL1", lambda t, d, keepdim: t.abs().sum(d, keepdim=keepdim)),
        ("ReduceSumSquare", lambda t, d, keepdim: (t ** 2).sum(d, keepdim=keepdim)), ("ReduceLogSumExp", torch.logsumexp),
    )
    for op, f in ops:
        case(f"{op} of one axis", op, [x, Fixed([1])], lambda t, _: f(t, (1,), keepdim=True))
        case(f"{op} of two axes without them", op, [x, Fixed([0, -1])], lambda t, _: f(t, (0, 2), keepdim=False), keepdims=0)
        case(f"{op} of all", op, [x], lambda t: f(t, (0, 1, 2), keepdim=False), keepdims=0)


if __name__ == "__main__":
    for family in (arithmetic, products, activations, reductions):
        family()
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in CASES)
    (HERE / "cases.json").write_text(f"[\n{lines}\n]\n")
    print(len(CASES), "cases", (HERE / "cases.json").stat().st_size, "bytes")
