"""Writes every.npz, compressed.npz (arrays of each dtype, order and byte order), fortran.npy and object.npz, by NumPy.

Values are 0, 1, 2, ... in row-major order (booleans alternate), so that tests need no second file.
Run: python make.py
"""
import numpy as np

arrays = {}
for code in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16"]:
    values = np.arange(24).reshape(2, 3, 4)
    if code == "b1":
        values = values % 2
    for order in "<>":
        for layout in "CF":
            arrays[f"{'le' if order == '<' else 'be'}.{layout}.{code}"] = np.array(values, dtype=order + code, order=layout)
arrays["scalar"] = np.array(7, dtype="f4")
arrays["empty"] = np.zeros((0, 3), dtype="f4", order="F")
arrays["text"] = np.array(["left", "right"])
arrays["record"] = np.zeros(2, dtype=[("a", "f4"), ("b", "i4")])
np.savez("every.npz", **arrays)
np.savez_compressed("compressed.npz", **arrays)
np.save("fortran.npy", np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3)))
np.savez("object.npz", a=np.array([{}], dtype=object))
