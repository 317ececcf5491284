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
    case("Gelu", "Gelu", [x], F.gelu)
    case("Gelu by tanh", "Gelu", [x], lambda t: F.gelu(t, approximate="tanh"), approximate="tanh")
    for op, f in (("Softmax", torch.softmax), ("LogSoftmax", torch.log_softmax)):
        case(f"{op} of the last axis", op, [Draw([2, 3, 4], -3, 3)], lambda t: f(t, -1))
        case(f"{op} of an inner axis", op, [Draw([2, 3, 4], -3, 3)], lambda t: f(t, 1), axis=1)


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


def functions():
    x, positive = Draw([3, 5], -2, 2), Draw([3, 5], 0.5, 2)
    for op, f in (("Neg", torch.neg), ("Abs", torch.abs), ("Exp", torch.exp), ("Sin", torch.sin), ("Cos", torch.cos), ("Erf", torch.erf)):
        case(op, op, [x], f)
    for op, f in (("Log", torch.log), ("Sqrt", torch.sqrt), ("Reciprocal", torch.reciprocal)):
        case(op, op, [positive], f)
    case("Pow by 2", "Pow", [x, Fixed(2.0, "F32")], lambda t, _: t**2)
    case("Pow by 3 and 2", "Pow", [Draw([3, 2]), Fixed([3.0, 2.0], "F32")], torch.pow)
    case("Pow by an integer", "Pow", [x, Fixed(3)], lambda t, _: t**3)
    case("Pow of base and exponent", "Pow", [positive, Draw([5], -1, 2)], torch.pow)


def selections():
    x = Draw([3, 5], -2, 2)
    case("Max of a value and a constant", "Max", [x, Fixed(0.25, "F32")], lambda t, c: torch.clamp(t, min=0.25))
    case("Max of two", "Max", [x, Draw([5], -2, 2)], torch.maximum)
    case("Min of three", "Min", [x, Draw([3, 1], -2, 2), Fixed(1.5, "F32")], lambda a, b, c: torch.minimum(torch.minimum(a, b), c))
    case("Clip", "Clip", [x, Fixed(-0.7, "F32"), Fixed(0.9, "F32")], lambda t, *_: torch.clamp(t, -0.7, 0.9))
    case("Clip from above", "Clip", [x, None, Fixed(0.9, "F32")], lambda t, *_: torch.clamp(t, max=0.9))
    case("Where", "Where", [Fixed([[True], [False], [True]], "BOOL"), x, Draw([5])], torch.where)


def layouts():
    x = Draw([2, 3, 4])
    case("Identity", "Identity", [x], lambda t: t)
    case("Dropout in inference", "Dropout", [x], lambda t: t)
    case("CastLike", "CastLike", [x, Fixed(1.0, "F32")], lambda t, _: t)
    case("Cast", "Cast", [x], lambda t: t, to=1)
    case("Reshape", "Reshape", [x, Fixed([0, -1])], lambda t, _: t.reshape(2, 12))
    case("Flatten", "Flatten", [x], lambda t: t.reshape(6, 4), axis=2)
    case("Squeeze", "Squeeze", [Draw([2, 1, 3, 1]), Fixed([1, -1])], lambda t, _: t.reshape(2, 3))
    case("Unsqueeze", "Unsqueeze", [x, Fixed([0, -1])], lambda t, _: t[None, ..., None])
    case("Transpose", "Transpose", [x], lambda t: t.permute(2, 0, 1), perm=[2, 0, 1])
    case("Transpose without a permutation", "Transpose", [x], lambda t: t.permute(2, 1, 0))
    case("Expand", "Expand", [Draw([3, 1]), Fixed([2, 3, 4])], lambda t, _: t.expand(2, 3, 4))
    case("Tile", "Tile", [Draw([2, 3]), Fixed([2, 3])], lambda t, _: t.repeat(2, 3))
    case("Concat", "Concat", [x, Draw([2, 1, 4]), Draw([2, 2, 4])], lambda *t: torch.cat(t, 1), axis=-2)
    case("Split by sizes", "Split", [x, Fixed([1, 3])], lambda t, _: t.split([1, 3], 2), outputs=2, axis=-1)
    case("Split evenly", "Split", [x], lambda t: t.chunk(3, 1), outputs=3, axis=1, num_outputs=3)
    case("Slice", "Slice", [x, Fixed([1, -3]), Fixed([3, 100]), Fixed([1, 2])], lambda t, *_: t[:, 1:3, 1:])
    case("Slice with steps", "Slice", [Draw([3, 8]), Fixed([1]), Fixed([8]), Fixed([1]), Fixed([3])], lambda t, *_: t[:, 1:8:3])
    case("Slice backwards", "Slice", [Draw([3, 8]), Fixed([6]), Fixed([-100]), Fixed([-1]), Fixed([-2])], lambda t, *_: t[:, [6, 4, 2, 0]])
    case("Pad", "Pad", [x, Fixed([0, 1, 2, 1, 0, 1]), Fixed(0.5, "F32")], lambda t, *_: F.pad(t, (2, 1, 1, 0, 0, 1), value=0.5))
    case("Pad that takes away", "Pad", [x, Fixed([-1, 2]), None, Fixed([1])], lambda t, *_: F.pad(t[:, 1:], (0, 0, 0, 2)))
    y = Draw([1, 2, 4, 5])
    for mode, theirs in (("edge", "replicate"), ("reflect", "reflect"), ("wrap", "circular")):
        case(
            f"Pad by {mode}", "Pad", [y, Fixed([0, 0, 1, 2, 0, 0, 2, 1])], lambda t, _: F.pad(t, (2, 1, 1, 2), mode=theirs), mode=mode
        )

    def resize(name, size, theirs, align=None, **attributes):
        case(
            f"Resize {name}", "Resize", [y, None, None, Fixed([1, 2, *size])],
            lambda t, *_: F.interpolate(t, size=size, mode=theirs, align_corners=align), **attributes,
        )

    resize("nearest to twice the size", (8, 10), "nearest", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    resize("nearest to a smaller size", (3, 2), "nearest", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    resize("linear", (6, 7), "bilinear", False, mode="linear", coordinate_transformation_mode="half_pixel")
    resize("linear with corners aligned", (3, 9), "bilinear", True, mode="linear", coordinate_transformation_mode="align_corners")
    resize("cubic", (6, 7), "bicubic", False, mode="cubic", coordinate_transformation_mode="half_pixel")
    case(
        "Resize by scales", "Resize", [y, None, Fixed([2.0, 1.5], "F32")],
        lambda t, *_: F.interpolate(t, scale_factor=(2.0, 1.5), mode="bilinear"), mode="linear", axes=[2, 3],
    )
    case("Gather of rows", "Gather", [Draw([5, 3]), Fixed([[1, 4, 1], [0, 1, -1]])], lambda t, i: t[i])
    case("Gather along an inner axis", "Gather", [x, Fixed([[2, 0], [2, 2]])], lambda t, i: t[:, i], axis=1)
    case("Gather of one row", "Gather", [Draw([5, 3]), Fixed(3)], lambda t, _: t[3])
    case("Gather of the last place", "Gather", [x, Fixed(-1)], lambda t, _: t[:, :, -1], axis=2)
    case("GatherElements", "GatherElements", [Draw([3, 4]), Fixed([[0, 2], [1, 1], [3, 0]])], lambda t, i: torch.gather(t, 1, i), axis=1)


def norms():
    x = Draw([2, 3, 8], -2, 2)
    weight, bias = Draw([8], 0.5, 1.5), Draw([8])
    case("LayerNormalization", "LayerNormalization", [x, weight, bias], lambda t, w, b: F.layer_norm(t, (8,), w, b, 1e-3), axis=-1, epsilon=1e-3)
    case("LayerNormalization over two axes", "LayerNormalization", [x, Draw([3, 8]), Draw([3, 8])], lambda t, w, b: F.layer_norm(t, (3, 8), w, b), axis=1)
    case("LayerNormalization without bias", "LayerNormalization", [x, weight], lambda t, w: F.layer_norm(t, (8,), w))
    for spatial in ([4], [3, 4], [2, 2, 3]):
        case(
            f"BatchNormalization of {len(spatial)} axes", "BatchNormalization",
            [Draw([2, 3, *spatial]), Draw([3], 0.5, 1.5), Draw([3]), Fixed([0.1, -0.2, 0.3], "F32"), Fixed([0.5, 1.0, 2.0], "F32")],
            lambda t, w, b, m, v: F.batch_norm(t, m.double(), v.double(), w, b, eps=1e-3), epsilon=1e-3,
        )
    case(
        "InstanceNormalization", "InstanceNormalization", [Draw([2, 3, 3, 3], -2, 2), Draw([3], 0.5, 1.5), Draw([3])],
        lambda t, w, b: F.instance_norm(t, weight=w, bias=b, eps=1e-3), epsilon=1e-3,
    )


CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def convolutions():
    def conv(name, size, outputs, kernel, inputs=2, batch=2, stride=1, pad=0, dilation=1, group=1, bias=True):
        rank = len(size)
        each = lambda v: [v] * rank if isinstance(v, int) else list(v)
        given = [Draw([batch, inputs, *size]), Draw([outputs, inputs // group, *kernel])] + ([Draw([outputs])] if bias else [])
        attributes = dict(strides=each(stride), pads=each(pad) * 2, dilations=each(dilation), group=group)
        f = lambda x, w, b=None: CONV[rank](x, w, b, each(stride), each(pad), each(dilation), group)
        case(f"Conv {name}", "Conv", given, f, **attributes)

    conv("1d", [9], 3, [3], pad=1)
    conv("1d with stride", [9], 3, [3], stride=2, pad=1)
    conv("1d with a remainder", [10], 2, [3], stride=3, bias=False)
    conv("1d of many taps", [80], 2, [66], inputs=1, stride=4, bias=False)
    conv("2d", [4, 5], 3, [3, 3], pad=1)
    conv("2d of one tap", [3, 4], 3, [1, 1])
    conv("2d of one tap with stride", [4, 5], 3, [1, 1], stride=2, bias=False)
    conv("2d with stride", [5, 6], 3, [3, 3], stride=2, pad=1)
    conv("2d of 7 taps with stride", [9, 8], 2, [7, 7], stride=2, pad=3, batch=1)
    conv("2d with different strides and pads", [6, 5], 2, [3, 2], stride=(2, 1), pad=(1, 0))
    conv("2d with dilation", [7, 6], 2, [3, 2], dilation=(2, 3), pad=(2, 1))
    conv("2d with dilation and stride", [7, 8], 2, [3, 2], stride=2, dilation=(2, 3), pad=1, bias=False)
    conv("2d with more padding than reach", [3, 3], 2, [2, 2], pad=2)
    conv("2d in groups", [4, 4], 4, [3, 3], inputs=4, group=2, pad=1)
    conv("2d in groups with stride", [5, 5], 4, [3, 3], inputs=4, group=2, pad=1, stride=2)
    conv("2d depthwise", [4, 4], 6, [3, 3], inputs=3, group=3, pad=1)
    conv("3d", [3, 4, 3], 2, [3, 3, 3], pad=1, batch=1)
    conv("3d with strides", [4, 5, 6], 2, [3, 3, 3], stride=(1, 2, 2), pad=1, batch=1, bias=False)
    case(
        "Conv 2d padded to the same size", "Conv", [Draw([1, 2, 5, 6]), Draw([2, 2, 3, 3])],
        lambda x, w: F.conv2d(F.pad(x, (0, 1, 1, 1)), w, stride=2), auto_pad="SAME_UPPER", strides=[2, 2],
    )

    def transposed(name, size, outputs, kernel, inputs=3, stride=1, pad=0, extra=0, dilation=1, group=1):
        rank = len(size)
        each = lambda v: [v] * rank if isinstance(v, int) else list(v)
        given = [Draw([2, inputs, *size]), Draw([inputs, outputs // group, *kernel]), Draw([outputs])]
        attributes = dict(strides=each(stride), pads=each(pad) * 2, output_padding=each(extra), dilations=each(dilation), group=group)
        f = lambda x, w, b: TRANSPOSED[rank](x, w, b, each(stride), each(pad), each(extra), group, each(dilation))
        case(f"ConvTranspose {name}", "ConvTranspose", given, f, **attributes)

    transposed("1d", [4], 2, [3], stride=2, pad=1, extra=1)
    transposed("2d", [3, 4], 2, [2, 2], stride=2)
    transposed("2d without stride", [3, 3], 2, [3, 3], pad=1)
    transposed("2d with dilation", [3, 3], 2, [2, 2], stride=2, dilation=2, pad=1)
    transposed("2d in groups", [3, 3], 4, [3, 3], inputs=4, group=2, stride=2, pad=1, extra=1)
    transposed("3d", [2, 2, 2], 1, [2, 2, 2], inputs=2, stride=2)


MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def pools():
    def max_pool(name, size, kernel, stride, pad=0, dilation=1, ceil=False):
        rank = len(size)
        attributes = dict(kernel_shape=[kernel] * rank, strides=[stride] * rank, pads=[pad] * 2 * rank, dilations=[dilation] * rank, ceil_mode=ceil)
        f = lambda t: MAX_POOL[rank](t, kernel, stride, pad, dilation, ceil_mode=ceil)
        case(f"MaxPool {name}", "MaxPool", [Draw([2, 2, *size], -3, 3)], f, **attributes)

    max_pool("1d", [9], 3, 2, pad=1)
    max_pool("2d", [4, 6], 2, 2)
    max_pool("2d with overlap", [7, 6], 3, 2, pad=1)
    max_pool("2d with a large overlap", [6, 5], 3, 1, pad=1)
    max_pool("2d with gaps", [7, 8], 2, 3)
    max_pool("2d with dilation", [7, 6], 2, 2, dilation=2)
    max_pool("2d rounded up", [6, 6], 3, 2, ceil=True)
    max_pool("3d", [3, 4, 5], 2, 2)

    def mean_pool(name, size, kernel, stride, pad=0, include=True, ceil=False):
        rank = len(size)
        attributes = dict(kernel_shape=[kernel] * rank, strides=[stride] * rank, pads=[pad] * 2 * rank, count_include_pad=include, ceil_mode=ceil)
        f = lambda t: MEAN_POOL[rank](t, kernel, stride, pad, ceil_mode=ceil, count_include_pad=include)
        case(f"AveragePool {name}", "AveragePool", [Draw([2, 2, *size])], f, **attributes)

    mean_pool("1d", [8], 2, 2)
    mean_pool("2d", [4, 6], 2, 2)
    mean_pool("2d with a remainder", [5, 7], 2, 2)
    mean_pool("2d with overlap and padding counted", [5, 6], 3, 2, pad=1)
    mean_pool("2d with overlap and padding not counted", [5, 6], 3, 2, pad=1, include=False)
    mean_pool("2d rounded up", [6, 6], 3, 2, include=False, ceil=True)
    mean_pool("3d", [2, 4, 4], 2, 2)
    case("GlobalAveragePool", "GlobalAveragePool", [Draw([2, 3, 2, 4])], lambda t: t.mean((2, 3), keepdim=True))


def recurrences():
    def lstm(direction, steps, biased=True):
        directions = 2 if direction == "bidirectional" else 1

        def compute(x, w, r, b=None):
            outputs = []
            for d in range(directions):
                turned = direction == "reverse" or d == 1
                h, c, states = torch.zeros(2, 3, dtype=x.dtype), torch.zeros(2, 3, dtype=x.dtype), []
                for t in (reversed(range(steps)) if turned else range(steps)):
                    z = x[t] @ w[d].T + h @ r[d].T + (b[d, :12] + b[d, 12:] if biased else 0)
                    i, o, f, g = z.split(3, 1)  # ONNX's order
                    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                    h = torch.sigmoid(o) * torch.tanh(c)
                    states.append(h)
                outputs.append(torch.stack(states[::-1] if turned else states))
            return torch.stack(outputs, 1)

        inputs = [Draw([steps, 2, 4]), Draw([directions, 12, 4]), Draw([directions, 12, 3])] + ([Draw([directions, 24])] if biased else [])
        case(f"LSTM {direction} of {steps}{'' if biased else ' without biases'}", "LSTM", inputs, compute, direction=direction, hidden_size=3)

    lstm("forward", 5)
    lstm("reverse", 4, biased=False)
    lstm("bidirectional", 3)
    lstm("bidirectional", 1)


if __name__ == "__main__":
    for family in (arithmetic, functions, products, activations, selections, reductions, layouts, norms, convolutions, pools, recurrences):
        family()
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in CASES)
    (HERE / "cases.json").write_text(f"[\n{lines}\n]\n")
    print(len(CASES), "cases", (HERE / "cases.json").stat().st_size, "bytes")
