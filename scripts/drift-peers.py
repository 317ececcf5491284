"""The windows that scripts/drift-study.js drew (null --dump FOLDER), through the defaults of peers: how often each calls drift.

Run with numpy, scipy, pandas 2, evidently 0.7.23, nannyml 0.13.1 (and statsmodels): python scripts/drift-peers.py FOLDER [WINDOWS]
"""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
from evidently.legacy.calculations.stattests import get_stattest  # noqa: E402
from nannyml.drift.univariate.methods import ContinuousJensenShannonDistance  # noqa: E402
from nannyml.chunk import CountBasedChunker  # noqa: E402
from nannyml.thresholds import ConstantThreshold  # noqa: E402


def evidently_drifts(reference, window):
    """The test that a preset takes for a column of numbers, by its own choice of the data's size."""
    a, b = pd.Series(reference), pd.Series(window)
    return bool(get_stattest(a, b, "num", None)(a, b, "num", None).drifted)


def nannyml_drifts(reference, window):
    """Jensen-Shannon, the default for continuous columns, with its constant threshold of 0.1; the window is one chunk."""
    chunker, threshold = CountBasedChunker(chunk_number=1), ConstantThreshold(lower=None, upper=0.1)
    method = ContinuousJensenShannonDistance(chunker=chunker, threshold=threshold)
    method.fit(pd.Series(reference, name="x"))
    return bool(method.calculate(pd.Series(window, name="x")) > 0.1)


folder = Path(sys.argv[1])
most = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
totals = {}
for lengths_file in sorted(folder.glob("*.json")):
    size = int(lengths_file.stem.rsplit(".", 1)[1])
    lengths = json.loads(lengths_file.read_text())
    columns = np.split(np.fromfile(lengths_file.with_suffix(".f64")), np.cumsum(lengths)[:-1])
    found = {"evidently": 0, "nannyml": 0}
    pairs = list(zip(columns[::2], columns[1::2]))[:most]
    for reference, window in pairs:
        found["evidently"] += evidently_drifts(reference, window)
        found["nannyml"] += nannyml_drifts(reference, window)
    print(lengths_file.stem, len(pairs), found, flush=True)
    total = totals.setdefault(size, {"windows": 0, "evidently": 0, "nannyml": 0})
    total["windows"] += len(pairs)
    for name, count in found.items():
        total[name] += count
print("\n| rows | evidently | nannyml |\n| --- | --- | --- |")
for size, total in sorted(totals.items()):
    print(f"| {size} | {100 * total['evidently'] / total['windows']:.1f} % | {100 * total['nannyml'] / total['windows']:.1f} % |")
