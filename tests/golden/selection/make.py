"""Posteriors of Bradley and Terry's model by choix 0.4.1 (expectation propagation), the moments of the exact ones by importance
sampling from those, and Gauss-Hermite nodes by numpy.

Run: python make.py > choix.json   (pip install choix==0.4.1 numpy)
"""

import json

import choix
import numpy as np



def exact(items, data, alpha, mean, covariance, draws=300_000):
    """Mean and covariance of the posterior itself; its density is known but for a factor."""
    random = np.random.RandomState(0)
    factor = np.linalg.cholesky(1.1 * covariance)
    won, lost = np.array(data).T
    total, first, second = 0.0, np.zeros(items), np.zeros((items, items))
    shift = None
    for _ in range(20):
        z = random.normal(size=(draws // 20, items))
        u = mean + z @ factor.T
        log = -np.logaddexp(0, u[:, lost] - u[:, won]).sum(1) - alpha / 2 * (u**2).sum(1) + (z**2).sum(1) / 2
        shift = log.max() if shift is None else shift
        weight = np.exp(log - shift)
        total += weight.sum()
        first += weight @ u
        second += (u * weight[:, None]).T @ u
    centre = first / total
    return centre, second / total - np.outer(centre, centre)


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
    true_mean, true_covariance = exact(items, data, alpha, mean, covariance)
    cases.append(
        {
            "items": items,
            "alpha": alpha,
            "won": data,
            "mean": mean.tolist(),
            "covariance": covariance.tolist(),
            "exact": {"mean": true_mean.tolist(), "covariance": true_covariance.tolist()},
        }
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
