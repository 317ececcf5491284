"""Posteriors of Bradley and Terry's model by choix 0.4.1 (expectation propagation), and Gauss-Hermite nodes by numpy.

Run: python make.py > choix.json   (pip install choix==0.4.1 numpy)
"""

import json

import choix
import numpy as np

cases = []
for seed, items, votes, alpha in [(1, 2, 1, 1.0), (2, 3, 6, 1.0), (3, 5, 20, 0.5), (4, 8, 60, 0.25), (5, 16, 96, 1.0), (6, 16, 400, 1.0)]:
    random = np.random.RandomState(seed)
    utilities = random.normal(0, alpha**-0.5, items)
    data = []
    for _ in range(votes):
        left, right = random.choice(items, 2, replace=False)
        wins = random.uniform() < 1 / (1 + np.exp(utilities[right] - utilities[left]))
        data.append((int(left), int(right)) if wins else (int(right), int(left)))
    mean, covariance = choix.ep_pairwise(items, data, alpha, model="logit")
    cases.append(
        {"items": items, "alpha": alpha, "won": data, "mean": mean.tolist(), "covariance": covariance.tolist()}
    )

nodes, weights = np.polynomial.hermite_e.hermegauss(21)
print(
    json.dumps(
        {
            "cases": cases,
            "hermite": {"nodes": nodes.tolist(), "weights": (weights / weights.sum()).tolist()},
        }
    )
)
