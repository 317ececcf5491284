"""Labels and scores of auxiliary heads, and what scikit-learn and SciPy say of them.

    python make.py > cases.json
"""

import json

import numpy as np
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error

random = np.random.default_rng(7)
labels, scores = [], []
for i in range(12):
    aux = {"quality": int(random.integers(0, 5)), "fluency": int(random.integers(0, 2)), "toxicity": i % 2}
    said = {
        "quality": round(float(np.clip(aux["quality"] + random.normal(), 0, 4)), 6),
        "fluency": round(float(random.uniform(0.02, 0.98)), 6),
        "toxicity": round(float(np.clip(aux["toxicity"] * 0.4 + 0.3 + 0.25 * random.normal(), 0.01, 0.99)), 6),
    }
    labels.append({"id": f"i{i}", "type": "abs", "content": "a", "score": round(float(random.normal()), 6), "aux": aux, "prompt_id": f"p{i // 2}"})
    row = {"id": f"i{i}", "logit": round(float(random.normal()), 6)}
    if i != 3:  # no head speaks of it
        row["aux"] = said
    if i == 5:
        del row["aux"]["toxicity"]
    scores.append(row)

figures = {}
for head in ["quality", "fluency", "toxicity"]:
    both = [(l["aux"][head], s["aux"][head]) for l, s in zip(labels, scores) if head in s.get("aux", {})]
    truth, said = np.array([t for t, _ in both]), np.array([p for _, p in both])
    if head == "quality":
        metrics = {
            "rmse": root_mean_squared_error(truth, said),
            "mae": mean_absolute_error(truth, said),
            "spearman": spearmanr(truth, said).statistic,
            "kendall": kendalltau(truth, said).statistic,
        }
        figures[head] = {"n": len(both), "metrics": metrics}
    else:
        metrics = {
            "accuracy": float(np.mean((said > 0.5) == (truth == 1))),
            "auc": roc_auc_score(truth, said),
            "nll": log_loss(truth, said),
            "brier": brier_score_loss(truth, said),
        }
        figures[head] = {"n": len(both), "positives": float(truth.mean()), "metrics": metrics}
print(json.dumps({"labels": labels, "scores": scores, "figures": figures}, indent=1))
