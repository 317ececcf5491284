"""Reference vectors for src/core/stats.

Run with numpy, scipy, scikit-learn, statsmodels 0.14, netcal 1.4.0, relplot 1.0.3 and uncertainty-calibration 0.1.4 (the package of Kumar, Liang
and Ma, "verified_calibration") installed: python tests/golden/stats/make.py

Cases differ in ties, votes and size. Votes are integers, so that libraries without weights can be given repeated rows.
"""
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

class Unneeded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for what netcal and relplot import for plots and regression: the calibration errors need none of it."""

    roots = ("gpytorch", "pyro", "torch", "tensorboard", "matplotlib", "seaborn", "pandas", "tikzplotlib")

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in self.roots else None

    def create_module(self, spec):
        module = MagicMock()
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression, isotonic_regression
from statsmodels.stats.contingency_tables import mcnemar

sys.meta_path.insert(0, Unneeded())
from calibration import utils as verified
from netcal.metrics.confidence import ECE, MCE
from relplot.metrics import smECE

sys.meta_path.pop(0)
for module in [name for name in sys.modules if name.split(".")[0] in Unneeded.roots]:
    del sys.modules[module]  # scipy would take them for the real ones

OUT = Path(__file__).with_name("vectors.json")
BINS = 15


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def repeat(values, positive, negative):
    """One row a vote: values, labels."""
    values = np.concatenate([np.repeat(values, positive), np.repeat(values, negative)])
    labels = np.concatenate([np.ones(positive.sum(), int), np.zeros(negative.sum(), int)])
    return values, labels


def delong(scores, labels):
    """AUC and its standard error by the structural components of DeLong et al. (1988), pair by pair."""
    x, y = scores[labels == 1], scores[labels == 0]
    kernel = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    v10, v01 = kernel.mean(axis=1), kernel.mean(axis=0)
    return kernel.mean(), np.sqrt(v10.var(ddof=1) / len(x) + v01.var(ddof=1) / len(y))


def obuchowski(scores, labels, clusters):
    """Standard error of AUC for clustered rows, as in Obuchowski (1997)."""
    x, y = scores[labels == 1], scores[labels == 0]
    kernel = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    auc = kernel.mean()
    cx, cy = clusters[labels == 1], clusters[labels == 0]
    names = np.unique(clusters)
    sx = np.array([(kernel.mean(axis=1)[cx == c] - auc).sum() for c in names])
    sy = np.array([(kernel.mean(axis=0)[cy == c] - auc).sum() for c in names])
    m, n, i10, i01, i = len(x), len(y), len(np.unique(cx)), len(np.unique(cy)), len(names)
    s10 = i10 / ((i10 - 1) * m) * (sx ** 2).sum()
    s01 = i01 / ((i01 - 1) * n) * (sy ** 2).sum()
    s11 = i / (i - 1) * (sx * sy).sum()
    return np.sqrt(s10 / m + s01 / n + 2 * s11 / (m * n))


def debiased_ece(probabilities, labels):
    """verified_calibration's normal_debiased_ce with power 1, the mean of its random draws by scipy's folded normal."""
    bins = verified.bin(list(zip(probabilities, labels)), verified.get_equal_bins(probabilities, BINS))
    weights = np.array(verified.get_bin_probs(bins))
    rates = np.array([b[:, 1].mean() for b in bins])
    forecasts = np.array([b[:, 0].mean() for b in bins])
    deviations = np.sqrt(rates * (1 - rates) / [len(b) for b in bins])
    gaps = np.abs(rates - forecasts)
    redrawn = [stats.foldnorm(g / s, scale=s).mean() if s > 0 else g for g, s in zip(gaps, deviations)]
    return 2 * (weights * gaps).sum() - (weights * redrawn).sum()


def corp(probabilities, labels):
    score = lambda p: np.mean((p - labels) ** 2)
    fit = IsotonicRegression().fit(probabilities, labels).predict(probabilities)
    base = score(np.full(len(labels), labels.mean()))
    return {"miscalibration": score(probabilities) - score(fit), "discrimination": base - score(fit), "uncertainty": base}


def binary_case(name, logits, positive, negative, clusters):
    p = sigmoid(logits)
    scores, labels = repeat(logits, positive, negative)
    probabilities = sigmoid(scores)
    row_clusters, _ = repeat(clusters, positive, negative)
    auc, auc_error = delong(scores, labels)
    z = ((labels - probabilities) * (1 - 2 * probabilities)).sum() / np.sqrt(
        ((1 - 2 * probabilities) ** 2 * probabilities * (1 - probabilities)).sum())
    iso = IsotonicRegression().fit(np.concatenate([logits, logits]), np.repeat([1.0, 0.0], len(logits)),
                                   sample_weight=np.concatenate([positive, negative]))
    equal_mass = verified.bin(list(zip(probabilities, labels)), verified.get_equal_bins(probabilities, BINS))
    return {
        "name": name, "logits": logits, "positive": positive, "negative": negative, "clusters": clusters,
        "auc": metrics.roc_auc_score(labels, scores), "delong": auc_error, "obuchowski": obuchowski(scores, labels, row_clusters),
        "nll": metrics.log_loss(labels, probabilities), "brier": metrics.brier_score_loss(labels, probabilities),
        "corp": corp(probabilities, labels),
        "ece": ECE(BINS).measure(probabilities, labels),
        "mce": MCE(BINS).measure(probabilities, labels),
        "eceVerified": verified.get_ece(probabilities, labels, num_bins=BINS, mode="marginal"),
        # bins of equal numbers of votes are the same only where the votes divide by the number of bins
        "eceMass": verified.plugin_ce(equal_mass, power=1) if len(labels) % BINS == 0 else None,
        "eceDebiased": max(0, debiased_ece(probabilities, labels)) if len(labels) % BINS == 0 else None,
        "rmsceDebiased": verified.unbiased_l2_ce(equal_mass) if len(labels) % BINS == 0 else None,
        "smece": smECE(probabilities, labels), "spiegelhalter": {"z": z, "pValue": 2 * stats.norm.sf(abs(z))},
        "isotonic": {"x": iso.X_thresholds_, "y": iso.y_thresholds_},
    }


def correlation_case(name, x, y):
    return {"name": name, "x": x, "y": y, "ranks": stats.rankdata(x), "pearson": stats.pearsonr(x, y)[0],
            "spearman": stats.spearmanr(x, y)[0], "kendall": stats.kendalltau(x, y)[0],
            "rmse": np.sqrt(metrics.mean_squared_error(y, x)), "mae": metrics.mean_absolute_error(y, x)}


def bootstrap_case(random):
    data = random.lognormal(size=40)
    replicates = np.sort([random.choice(data, 40).mean() for _ in range(500)])
    result = stats.bootstrap((data,), np.mean, n_resamples=0, method="BCa", vectorized=False,
                             bootstrap_result=stats._resampling.BootstrapResult(None, replicates, None))
    percentile = np.percentile(replicates, [2.5, 97.5])
    return {"data": data, "replicates": replicates, "bca": list(result.confidence_interval), "percentile": percentile}


def mcnemar_case(b, c):
    n, k = b + c, min(b, c)
    exact = stats.binomtest(b, n).pvalue if n else 1.0
    middle = stats.binom.pmf(k, n, 0.5)
    return {"onlyFirst": b, "onlySecond": c, "pValue": exact, "midP": 1.0 if n == 0 else 1 - middle / 2 if b == c else exact - middle}


def sign_flip_case(differences):
    """Every cluster's sign flipped or not, all 2^n ways. McNemar's exact test where all are 1 or -1, which statsmodels checks."""
    d = np.array(differences, float)
    result = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided")
    if set(differences) <= {1, -1}:
        table = [[0, differences.count(1)], [differences.count(-1), 0]]
        assert abs(result.pvalue - mcnemar(table, exact=True).pvalue) < 1e-12
    return {"differences": differences, "pValue": result.pvalue}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def main():
    random = np.random.default_rng(20260913)
    one_vote = lambda y: (y, 1 - y)
    cases = []
    for name, n, spread, digits in (("continuous", 300, 1.5, 12), ("tied", 150, 1.0, 1), ("confident", 75, 8.0, 6)):
        logits = np.round(random.normal(0, spread, n), digits)
        label = (random.random(n) < sigmoid(0.6 * logits + 0.2)).astype(int)
        cases.append(binary_case(name, logits, *one_vote(label), np.arange(n) // 4))
    logits = np.round(random.normal(0, 1.2, 120), 2)
    positive = random.binomial(5, sigmoid(1.4 * logits))
    cases.append(binary_case("votes", logits, positive, 5 - positive, np.arange(120) // 3))
    correlations = [correlation_case("continuous", *random.normal(size=(2, 80)))]
    x = random.normal(size=200)
    correlations.append(correlation_case("tied", np.round(x, 1), np.round(0.5 * x + random.normal(size=200), 0)))
    correlations.append(correlation_case("binary", np.round(x, 2), (x + random.normal(size=200) > 0).astype(float)))
    y, w = random.normal(size=60) + np.linspace(0, 3, 60), random.integers(1, 5, 60)
    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    versions.update({name: importlib.metadata.version(name) for name in ("netcal", "relplot", "uncertainty-calibration")})
    points = np.concatenate([np.linspace(-8, 8, 33), [-30, -12.3, 0.1, 1e-9]])
    tails = np.array([1e-300, 1e-12, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 1 - 1e-9])
    vectors = {
        "versions": versions, "binary": cases, "correlations": correlations,
        "pava": {"y": y, "weights": w, "fit": isotonic_regression(y, sample_weight=w)},
        "normal": {"x": points, "cdf": stats.norm.cdf(points), "p": tails, "quantile": stats.norm.ppf(tails)},
        "bootstrap": bootstrap_case(random),
        "mcnemar": [mcnemar_case(b, c) for b, c in ((0, 0), (3, 3), (1, 9), (12, 5), (40, 61), (900, 1050), (0, 2000))],
        "signFlips": [sign_flip_case(d) for d in (
            [1, 1, 1, 1, 1, -1], [1, -1, 1, 1, 1, 1, 1, 1, -1, 1], [0.5, 0.5, 0.5, 0.5, -0.5], [3, 0.5, -1, 2, 1, -0.5, 1.5, 1],
            [10, -1, -1, -1, -1, 0], [2, 2, 2, -1, 0.5, 4, 1, 3, 0.5, 1, 2.5])],
        "wilson": [{"successes": k, "trials": n, "ci": list(stats.binomtest(k, n).proportion_ci(method="wilson"))}
                   for k, n in ((0, 5), (3, 7), (50, 100), (999, 1000))],
    }
    OUT.write_text(json.dumps(plain(vectors)) + "\n")


main()
