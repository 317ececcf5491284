"""What can be learnt of hh-rlhf from embeddings of all-MiniLM-L6-v2: scikit-learn's logistic regression on differences of the embeddings of both sides,
on the rows of tests/e2e/sentence-encoder.slow.test.ts.

    python3 oracle.py MINILM_FOLDER harmless-base__test.jsonl.gz     sentence-transformers 5.7, scikit-learn

    C 0.01   train 0.729   held-out 0.550   AUC 0.5358
    C 1      train 0.746   held-out 0.525   AUC 0.5561
    C 100    train 0.942   held-out 0.617   AUC 0.6300
    C 10000  train 1.000   held-out 0.600   AUC 0.6128
"""
import gzip, json, sys
import numpy as np
from sentence_transformers import SentenceTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

rows = [json.loads(line) for line in gzip.open(sys.argv[2], "rt")]
rows = [r for r in rows if max(len(r["chosen"]), len(r["rejected"])) < 600][:360]
left, right = zip(*[(r["chosen"], r["rejected"]) if i % 2 else (r["rejected"], r["chosen"]) for i, r in enumerate(rows)])
encode = SentenceTransformer(sys.argv[1], device="cpu").encode
x, y = encode(list(left)) - encode(list(right)), np.arange(len(rows)) % 2
for c in (0.01, 1, 100, 1e4):
    fit = LogisticRegression(C=c, fit_intercept=False, max_iter=5000).fit(x[:240], y[:240])
    score = fit.decision_function(x[240:])
    print(f"C {c:<6g} train {fit.score(x[:240], y[:240]):.3f}   held-out {((score > 0) == y[240:]).mean():.3f}   AUC {roc_auc_score(y[240:], score):.4f}")
