"""Weights of penalised non-negative logistic stacking, found by scipy and scikit-learn.

  python3 -m venv venv && venv/bin/pip install numpy scipy scikit-learn && venv/bin/python tests/golden/ensemble/make.py
  (made with numpy, scipy and scikit-learn of the versions in vectors.json)

Each problem: standardised logits [rows, members], votes for the left and the right of each row, and the weights that minimise
the mean log loss of a vote plus penalty / 2 times their squares, under the named constraint."""
import json, os
import numpy as np, scipy, sklearn
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

HERE = os.path.dirname(os.path.abspath(__file__))


def objective(logits, left, right, penalty):
    votes = (left + right).sum()

    def value(weights):
        z = logits @ weights
        p = 1 / (1 + np.exp(-z))
        loss = (left * np.logaddexp(0, -z) + right * np.logaddexp(0, z)).sum() / votes + penalty / 2 * weights @ weights
        return loss, logits.T @ ((left + right) * p - left) / votes + penalty * weights

    return value


def nonnegative(logits, left, right, penalty):
    start = np.full(logits.shape[1], 0.1)
    found = minimize(objective(logits, left, right, penalty), start, jac=True, method="L-BFGS-B",
                     bounds=[(0, None)] * logits.shape[1], options=dict(ftol=1e-16, gtol=1e-13, maxiter=10000, maxcor=50))
    return found.x


def simplex(logits, left, right, penalty):
    start = np.full(logits.shape[1], 1 / logits.shape[1])
    found = minimize(objective(logits, left, right, penalty), start, jac=True, method="SLSQP", bounds=[(0, 1)] * logits.shape[1],
                     constraints=[dict(type="eq", fun=lambda w: w.sum() - 1, jac=lambda w: np.ones_like(w))],
                     options=dict(ftol=1e-17, maxiter=1000))
    return np.clip(found.x, 0, None)


def unconstrained(logits, left, right, penalty):
    """scikit-learn's own logistic regression: the same minimum where no weight wants to be negative."""
    both = np.concatenate([np.ones(len(left)), np.zeros(len(right))])
    model = LogisticRegression(C=1 / (penalty * (left + right).sum()), fit_intercept=False, tol=1e-12, max_iter=100000)
    model.fit(np.concatenate([logits, logits]), both, sample_weight=np.concatenate([left, right]))
    return model.coef_[0]


def problem(seed, rows, truth, noise=1.0, correlated=0.0):
    random = np.random.default_rng(seed)
    common = random.normal(size=(rows, 1))
    logits = np.sqrt(1 - correlated) * random.normal(size=(rows, len(truth))) + np.sqrt(correlated) * common
    p = 1 / (1 + np.exp(-(logits @ truth + noise * random.normal(size=rows))))
    votes = random.integers(1, 6, size=rows)
    left = random.binomial(votes, p).astype(float)
    ties = random.random(rows) < 0.1
    left[ties] = votes[ties] / 2
    return np.round(logits, 4), left, votes - left


CASES = [
    ("all members help", problem(1, 80, np.array([1.0, 0.6, 0.3])), nonnegative, 0.01),
    ("scikit-learn, all weights positive", problem(1, 80, np.array([1.0, 0.6, 0.3])), unconstrained, 0.01),
    ("two members mislead", problem(2, 80, np.array([1.2, -0.7, 0.4, -0.2])), nonnegative, 0.01),
    ("correlated members, weak penalty", problem(3, 60, np.array([0.8, 0.1, 0.5, 0.0, 0.2, 0.3]), correlated=0.9), nonnegative, 1e-4),
    ("strong penalty", problem(3, 60, np.array([0.8, 0.1, 0.5, 0.0, 0.2, 0.3])), nonnegative, 10.0),
    ("simplex", problem(4, 80, np.array([1.0, 0.5, 0.2, -0.6])), simplex, 0.01),
    ("simplex of correlated members", problem(5, 60, np.array([0.9, 0.8, 0.0, 0.1, -0.3]), correlated=0.8), simplex, 0.003),
    ("separable votes", (np.round(np.random.default_rng(6).normal(size=(20, 2)), 4), None, None), nonnegative, 0.001),
]

vectors = []
for name, (logits, left, right), solve, penalty in CASES:
    if left is None:
        left = (logits[:, 0] > 0).astype(float)
        right = 1 - left
    weights = solve(logits, left, right, penalty)
    loss = objective(logits, left, right, 0.0)(weights)[0]
    vectors.append(dict(name=name, simplex=solve is simplex, penalty=penalty, members=logits.shape[1], logits=logits.ravel().tolist(),
                        left=left.tolist(), right=right.tolist(), weights=weights.tolist(), loss=loss))
with open(os.path.join(HERE, "vectors.json"), "w") as file:
    made = dict(numpy=np.__version__, scipy=scipy.__version__, sklearn=sklearn.__version__)
    json.dump(dict(madeWith=made, problems=vectors), file)
    file.write("\n")
for vector in vectors:
    print(vector["name"], np.round(vector["weights"], 6))
