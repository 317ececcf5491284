"""The same tasks with scikit-learn and scipy: python bench/stats/theirs.py TASK FOLDER. Prints {seconds, peakMiB, result}.

For the bootstrap the seconds are those of the resamples alone, so that they can be scaled.
"""
import json
import resource
import sys
import time

import numpy as np

task, folder = sys.argv[1:]
RESAMPLES = 10  # of 1000: the rest is scaled, a resample costing the same each time


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


start = time.perf_counter()
result = {"isotonic": isotonic, "auc": auc, "spearman": spearman, "bootstrap": bootstrap}[task]()
seconds = time.perf_counter() - start
if task == "bootstrap":
    result, seconds = result
print(json.dumps({"seconds": seconds, "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "result": result}))
