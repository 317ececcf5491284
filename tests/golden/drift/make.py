"""Reference vectors for src/core/drift.

Run with numpy, scipy 1.17.1 and nannyml 0.13.1 (with statsmodels, pandas 2): python tests/golden/drift/make.py

Two samples differ in size, ties and spread. CBPE is nannyml's own functions. The monitors are plain loops over the definitions.
"""
import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
from scipy import stats

warnings.filterwarnings("ignore")
import nannyml  # noqa: E402
from nannyml.performance_estimation.confidence_based import metrics as nannyml_metrics  # noqa: E402

rng = np.random.default_rng(20261129)


def numbers(name, a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    return {
        "name": name,
        "a": a.tolist(),
        "b": b.tolist(),
        "ks": float(stats.ks_2samp(a, b).statistic),
        "wasserstein": float(stats.wasserstein_distance(a, b)),
        # scipy's is the root of it
        "energy": float(stats.energy_distance(a, b) ** 2),
    }


def categories(name, a, b):
    table = np.array([a, b])
    kept = table[:, table.sum(axis=0) > 0]
    g = stats.chi2_contingency(kept, correction=False, lambda_="log-likelihood").statistic
    return {"name": name, "a": a, "b": b, "g": float(g)}


def cbpe(name, p):
    """nannyml's estimates of given probabilities: it calibrates no further what is asked for here."""
    proba, pred = pd.Series(p), pd.Series((p >= 0.5).astype(int))
    return {
        "name": name,
        "p": p.tolist(),
        "auc": float(nannyml_metrics.estimate_roc_auc(proba, proba)),
        "accuracy": float(nannyml_metrics.estimate_accuracy(pred, proba)),
    }


def held_back(n):
    return 0.5 / (1 + math.log1p(n))


def evidence(gains):
    """Wealth of bets side by side: half staked at once, the rest little by little. gains: [time, bet]."""
    bets = gains.shape[1]
    wealth = np.full(bets, (1 - held_back(0)) / bets)
    for n, gain in enumerate(gains, start=1):
        wealth = (wealth + (held_back(n - 1) - held_back(n)) / bets) * (1 + gain)
    return math.log(held_back(len(gains)) + wealth.sum())


def calibration(name, p, y):
    """Four stakes in four directions, cluster by cluster of one row."""
    winner, left = np.sign(p - 0.5) * (y - p), y - p
    sides = np.stack([-winner, winner, -left, left], axis=1)
    gains = np.concatenate([stake * sides for stake in [0.05, 0.1, 0.2, 0.4]], axis=1)
    return {"name": name, "p": p.tolist(), "y": y.tolist(), "logE": evidence(gains)}


def ranks(name, knots, counts, scores, ties):
    """Conformal test martingale over cells."""
    shapes = [lambda u: 2 * u - 1, lambda u: 1 - 2 * u, lambda u: 6 * (u - 0.5) ** 2 - 0.5, lambda u: 0.5 - 6 * (u - 0.5) ** 2]
    before, counts, gains = list(counts), list(counts), []
    for x, tie in zip(scores, ties):
        cell = int(np.searchsorted(knots, x, side="right"))
        below = sum(counts[:cell])
        counts[cell] += 1
        u = (below + tie * counts[cell]) / sum(counts)
        gains.append([stake * shape(u) for shape in shapes for stake in [0.1, 0.25, 0.5, 0.9]])
    return {"name": name, "knots": list(knots), "counts": before, "scores": list(scores), "ties": list(ties), "logE": evidence(np.array(gains))}


normal = rng.normal(size=300)
vectors = {
    "versions": {"scipy": scipy.__version__, "nannyml": nannyml.__version__},
    "numbers": [
        numbers("normal, shifted", normal[:200], rng.normal(0.3, 1.2, size=77)),
        numbers("tied quarters", rng.integers(-4, 5, 150) / 4, rng.integers(-3, 5, 60) / 4),
        numbers("one value each", [1.5], [2.25]),
        numbers("equal", normal[:40], normal[:40]),
        numbers("large and far", rng.normal(1e6, 10, 50), rng.normal(-1e6, 1e3, 80)),
        numbers("small", rng.normal(0, 1e-9, 50), rng.normal(1e-10, 1e-9, 90)),
    ],
    "categories": [
        categories("two", [30, 70], [25, 25]),
        categories("one is new", [50, 50, 0], [20, 20, 10]),
        categories("many", rng.integers(1, 40, 12).tolist(), rng.integers(1, 40, 12).tolist()),
    ],
    "cbpe": [
        cbpe("spread", rng.beta(2, 2, 400)),
        cbpe("sure", np.clip(rng.beta(0.3, 0.4, 250), 1e-6, 1 - 1e-6)),
        cbpe("tied", np.round(rng.random(300), 1)),
    ],
    "calibration": [
        calibration("holds", (p := rng.random(200)), (rng.random(200) < p).astype(float)),
        calibration("over-confident", (p := rng.random(200)), (rng.random(200) < 0.5 + 0.6 * (p - 0.5)).astype(float)),
    ],
    "ranks": [
        ranks("shifted", [-1.0, -0.5, 0.0, 0.5, 1.0], [20, 15, 15, 15, 15, 20], rng.normal(0.8, 1, 60).tolist(), rng.random(60).tolist()),
    ],
}
Path(__file__).with_name("vectors.json").write_text(json.dumps(vectors) + "\n")
