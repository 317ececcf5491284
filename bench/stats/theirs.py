"""The same tasks with scikit-learn, scipy and netcal: python theirs.py TASK PACKAGE FOLDER.

Prints {totalSeconds, resampleSeconds, result}: the resamples of the bootstrap are timed alone, so that they can be scaled.
"""
import json
import sys
import time

started = time.perf_counter()
import numpy as np

task, package, folder = sys.argv[1:]
RESAMPLES = 10  # of 1000


def column(name):
    return np.fromfile(f"{folder}/{name}.f64")


def isotonic():
    from sklearn.isotonic import IsotonicRegression
    return len(IsotonicRegression().fit(column("scores"), column("labels")).X_thresholds_)


def auc():
    from sklearn.metrics import roc_auc_score
    return roc_auc_score(column("labels"), column("scores"))


def spearman():
    from scipy.stats import spearmanr
    return spearmanr(column("scores"), column("ratings")).statistic


def ece():
    from netcal.metrics import ECE
    return float(ECE(15).measure(1 / (1 + np.exp(-column("scores"))), column("labels").astype(int)))


def platt():
    if package == "scikit-learn":
        from sklearn.calibration import _SigmoidCalibration
        fitted = _SigmoidCalibration().fit(column("scores"), column("labels"))
        return [fitted.a_, fitted.b_]
    from netcal.scaling import LogisticCalibration
    fitted = LogisticCalibration(method="mle").fit(1 / (1 + np.exp(-column("scores"))), column("labels").astype(int))
    return np.ravel(fitted.weights).tolist()


def bootstrap():
    """The usual loop: draw clusters, gather their rows, sklearn's AUC."""
    from sklearn.metrics import roc_auc_score
    scores, labels, clusters = column("scores"), column("labels"), column("clusters").astype(int)
    rows = np.split(np.argsort(clusters, kind="stable"), np.cumsum(np.bincount(clusters))[:-1])
    random = np.random.default_rng(0)

    def resample():
        drawn = np.concatenate([rows[c] for c in random.integers(0, len(rows), len(rows))])
        return roc_auc_score(labels[drawn], scores[drawn])

    start = time.perf_counter()
    values = [resample() for _ in range(RESAMPLES)]
    return np.percentile(values, [2.5, 97.5]).tolist(), time.perf_counter() - start


tasks = {"isotonic": isotonic, "auc": auc, "spearman": spearman, "ece": ece, "platt": platt, "bootstrap": bootstrap}
result, resample_seconds = tasks[task](), 0
if task == "bootstrap":
    result, resample_seconds = result
print(json.dumps({"totalSeconds": time.perf_counter() - started, "resampleSeconds": resample_seconds, "result": result}))
