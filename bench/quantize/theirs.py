"""onnxruntime.quantization on the rows that ours calibrates on: theirs.py MODEL ROWS.safetensors SCHEME CALIBRATOR OUT"""

import json
import os
import sys
import tempfile

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

model, rows, scheme, calibrator, out = sys.argv[1:]

DTYPES = {"F32": np.float32, "I64": np.int64}
METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


def read_rows(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(data[slice(*info["data_offsets"])], DTYPES[info["dtype"]]).reshape(info["shape"])
        for name, info in header.items()
    }


class Rows(CalibrationDataReader):
    """Every second row, as ours: the others are held out."""

    def __init__(self, feeds):
        count = len(next(iter(feeds.values())))
        self.rows = iter([{name: value[i : i + 1] for name, value in feeds.items()} for i in range(0, count, 2)])

    def get_next(self):
        return next(self.rows, None)


with tempfile.TemporaryDirectory() as folder:
    # What their documentation asks for before quantizing: shapes, and batch norms into convolutions.
    prepared = os.path.join(folder, "prepared.onnx")
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    if scheme == "dynamic":
        quantize_dynamic(prepared, out, weight_type=QuantType.QInt8, per_channel=True)
    else:
        quantize_static(
            prepared,
            out,
            Rows(read_rows(rows)),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=METHODS[calibrator],
        )
