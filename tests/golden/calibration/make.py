"""Makes vectors.json: calibrators of scikit-learn (1.9.1) and betacal (1.1.0) on weighted votes.

    python make.py        # needs numpy, scikit-learn, betacal; writes vectors.json beside this file

Each case has logits, votes for the left (positive) and for the right (negative). Pairs seen from both sides are made by hand:
every row once as it is and once mirrored, each vote counting one half.
"""
import json
from pathlib import Path

import numpy as np
from betacal import BetaCalibration
from scipy.optimize import minimize_scalar
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression

rng = np.random.default_rng(11)
GRID = np.linspace(-6, 6, 41)
sigmoid = lambda x: 1 / (1 + np.exp(-x))


def rows(logits, positive, negative):
    """One row a class: logits, labels, weights."""
    return np.r_[logits, logits], np.r_[np.ones_like(logits), np.zeros_like(logits)], np.r_[positive, negative]


def both_orders(logits, positive, negative):
    return np.r_[logits, -logits], np.r_[positive, negative] / 2, np.r_[negative, positive] / 2


def platt(logits, positive, negative):
    x, y, w = rows(logits, positive, negative)
    a, b = _sigmoid_calibration(x, y, sample_weight=w)
    return [-float(a), -float(b)]


def temperature(logits, positive, negative):
    loss = lambda s: np.sum(positive * np.logaddexp(0, -np.exp(s) * logits) + negative * np.logaddexp(0, np.exp(s) * logits))
    return float(np.exp(minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-12}).x))


def isotonic(logits, positive, negative):
    weight = positive + negative
    model = IsotonicRegression(out_of_bounds="clip").fit(logits, positive / weight, sample_weight=weight)
    return model.predict(GRID).tolist()


def beta(logits, labels):
    """betacal's model, solved to the end: its own solver stops at a tolerance of 1e-4."""
    features = lambda x: np.c_[-np.logaddexp(0, -x), np.logaddexp(0, x)]
    model = LogisticRegression(C=99999999999, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(features(logits), labels)
    assert (model.coef_ > 0).all()
    predicted = model.predict_proba(features(GRID))[:, 1]
    theirs = BetaCalibration(parameters="abm").fit(sigmoid(logits).reshape(-1, 1), labels).predict(sigmoid(GRID).reshape(-1, 1))
    assert np.abs(predicted - theirs).max() < 1e-3
    return predicted.tolist()


def case(logits, positive, negative):
    mirrored = both_orders(logits, positive, negative)
    return {
        "logits": logits.tolist(), "positive": positive.tolist(), "negative": negative.tolist(),
        "platt": platt(logits, positive, negative), "plattSymmetric": platt(*mirrored),
        "temperature": temperature(logits, positive, negative),
        "isotonic": isotonic(logits, positive, negative), "isotonicSymmetric": isotonic(*mirrored),
    }


def votes(n, scale, shift, ties):
    logits = np.round(rng.normal(size=n) * scale, 1 if ties else 6)
    raters = rng.integers(1, 8, n)
    left = rng.binomial(raters, sigmoid(logits * 0.6 + shift)).astype(float)
    return logits, left, raters - left


cases = [case(*votes(300, 2, 0.4, False)), case(*votes(200, 3, -0.2, True))]
logits = rng.normal(size=400) * 2
labels = (rng.random(400) < sigmoid(0.5 * logits + 0.3)).astype(int)
items = rng.normal(size=120)
scores = 2 + 0.7 * items + rng.normal(size=120) * 0.5
line = LinearRegression().fit(items.reshape(-1, 1), scores)
vectors = {
    "grid": GRID.tolist(), "cases": cases,
    "beta": {"logits": logits.tolist(), "labels": labels.tolist(), "predicted": beta(logits, labels)},
    "linear": {"logits": items.tolist(), "scores": scores.tolist(), "slope": float(line.coef_[0]), "intercept": float(line.intercept_)},
}
(Path(__file__).parent / "vectors.json").write_text(json.dumps(vectors))
