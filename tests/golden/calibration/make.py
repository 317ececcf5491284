"""Makes vectors.json: calibrators of scikit-learn (1.9.1) and betacal (1.1.0) on weighted votes.

    python make.py        # needs numpy, scikit-learn, betacal; writes vectors.json beside this file

Each case has logits, votes for the left (positive) and for the right (negative). Pairs seen from both sides are made by hand:
every row once as it is and once mirrored, each vote counting one half.
"""
import json
from pathlib import Path

import numpy as np
import scipy.stats
from betacal import BetaCalibration
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


def with_prior(logits, positive, negative):
    """Laplace's two votes, one for either side, spread over the deciles of the votes' logits."""
    order = np.argsort(logits, kind="stable")
    below = np.cumsum((positive + negative)[order])
    deciles = logits[order][[np.searchsorted(below * 10, below[-1] * k) for k in range(1, 10)]]
    return np.r_[logits, deciles], np.r_[positive, np.full(9, 1 / 9)], np.r_[negative, np.full(9, 1 / 9)]


def favoured(logits, positive, negative):
    return np.abs(logits), np.where(logits < 0, negative, positive), np.where(logits < 0, positive, negative)


def temperature(logits, positive, negative):
    """One slope without intercept or penalty: the fit of sklearn's LogisticRegression, which its temperature scaling is too."""
    x, y, w = rows(*with_prior(*favoured(logits, positive, negative)))
    model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    return float(model.fit(x.reshape(-1, 1), y, sample_weight=w).coef_[0, 0])


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
    x, y, w = rows(*with_prior(logits, labels.astype(float), 1.0 - labels))
    model.fit(features(x), y, sample_weight=w)
    return model.predict_proba(features(GRID))[:, 1].tolist()


def log_loss(p, positive, negative):
    p = np.clip(p, 2**-52, 1 - 2**-52)
    return float(-(positive * np.log(p) + negative * np.log1p(-p)).sum() / (positive + negative).sum())


def outliers(name, logits, positive, negative):
    """Scores of very different sizes in one file, and scikit-learn's log loss on them, from one side and from both."""
    logits = np.float64(np.float32(logits))
    losses = []
    for x, p, n in [(logits, positive, negative), both_orders(logits, positive, negative)]:
        fitted = IsotonicRegression(out_of_bounds="clip").fit(x, p / (p + n), sample_weight=p + n).predict(x)
        losses.append(log_loss(fitted, p, n))
    return {"name": name, "logits": logits.tolist(), "positive": positive.tolist(), "negative": negative.tolist(),
            "loss": losses[0], "lossSymmetric": losses[1]}


def judged(logits, raters, slope=1.0):
    """Votes by how large a logit is among its kind: what is far out is no surer than the largest of the others."""
    size = slope * np.sign(logits) * np.minimum(np.abs(logits), 6)
    left = rng.binomial(raters, sigmoid(size)).astype(float)
    return logits, left, raters - left


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
separable = np.r_[-np.linspace(0.2, 1.6, 8), np.linspace(0.1, 1, 10)]
logits = rng.normal(size=400) * 2
labels = (rng.random(400) < sigmoid(0.5 * logits + 0.3)).astype(int)
items = rng.normal(size=120)
scores = 2 + 0.7 * items + rng.normal(size=120) * 0.5
line = LinearRegression().fit(items.reshape(-1, 1), scores)
rng = np.random.default_rng(50)
few = np.linspace(-3, 3, 300)
crowd = np.r_[rng.normal(size=450) * 0.5, rng.normal(size=50) * 2500]
sizes = np.sign(rng.normal(size=800)) * np.exp(rng.normal(size=800) * 4)
many = np.r_[np.sort(rng.normal(size=2000) * 2), 1e6]
far = [
    outliers("one score of 1e5", *judged(np.r_[few, 1e5], np.ones(301, int), 0.7)),
    outliers("scores of 1e30 and -1e8", *judged(np.r_[few, 1e30, -1e8, -1e8], np.full(303, 3), 0.7)),
    outliers("scores of all sizes", *judged(sizes, rng.integers(1, 8, 800))),
    outliers("a crowd in a thousandth of the range", *judged(crowd, rng.integers(1, 5, 500), 0.5)),
    outliers("more steps than knots", *judged(many, np.full(2001, 400), 0.8)),
]
vectors = {
    "far": far,
    # Votes the score has all right: 5 % quantile of the share of one side, of ten votes that are all for it, is that of Beta(11, 1).
    "separable": {
        "logits": separable.tolist(), "positive": (separable > 0).astype(float).tolist(), "negative": (separable < 0).astype(float).tolist(),
        "temperature": temperature(separable, (separable > 0).astype(float), (separable < 0).astype(float)),
        "betaQuantile": float(scipy.stats.beta.ppf(0.05, 11, 1)),
    },
    "grid": GRID.tolist(), "cases": cases,
    "beta": {"logits": logits.tolist(), "labels": labels.tolist(), "predicted": beta(logits, labels)},
    "linear": {"logits": items.tolist(), "scores": scores.tolist(), "slope": float(line.coef_[0]), "intercept": float(line.intercept_)},
}
(Path(__file__).parent / "vectors.json").write_text(json.dumps(vectors))
