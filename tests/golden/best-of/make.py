"""Reference vectors for src/core/stats/best-of.ts: every set of N items of every prompt is gone through.

Run with numpy installed: python tests/golden/best-of/make.py
"""
import itertools
import json
from pathlib import Path

import numpy as np


def of_prompt(scores, human, n):
    """Expected human score and win rate of the pick, and expected human score of people's own, over all sets of n items."""
    others = [np.delete(human, i) for i in range(len(human))]
    win = np.array([np.mean((h > o) + 0.5 * (h == o)) if len(o) else np.nan for h, o in zip(human, others)])
    picked, won, best = [], [], []
    for chosen in map(list, itertools.combinations(range(len(scores)), n)):
        top = [i for i in chosen if scores[i] == scores[chosen].max()]  # among equal ones any
        picked.append(human[top].mean())
        won.append(win[top].mean())
        best.append(human[chosen].max())
    return np.mean(picked), np.mean(won), np.mean(best), human.mean()


def best_of(prompts, n):
    rows = np.array([of_prompt(s, h, n) for s, h in prompts if len(s) >= n])
    if len(rows) == 0:
        return {"n": n, "prompts": 0, "humanScore": None, "winRate": None, "regret": None, "captured": None}
    picked, won, best, blind = rows.T
    gain = np.mean(best - blind)
    return {
        "n": n,
        "prompts": len(rows),
        "humanScore": picked.mean(),
        "winRate": None if np.isnan(won).all() else np.nanmean(won),
        "regret": np.mean(best - picked),
        "captured": None if n == 1 or gain <= 1e-15 else np.mean(picked - blind) / gain,
    }


def case(rng, name, sizes, n, levels=None, human_levels=None):
    prompts = []
    for m in sizes:
        scores, human = rng.normal(size=m), rng.normal(size=m)
        human = human + 0.7 * scores
        if levels:
            scores = np.round(scores * levels) / levels
        if human_levels:
            human = np.clip(np.round(human * human_levels), -3, 3) / human_levels
        prompts.append((scores, human))
    return {
        "name": name,
        "prompts": [{"scores": s.tolist(), "human": h.tolist()} for s, h in prompts],
        "expected": [best_of(prompts, k) for k in n],
    }


rng = np.random.default_rng(7)
cases = [
    case(rng, "no ties", [5] * 20, [1, 2, 3, 4, 5]),
    case(rng, "ties of the scorer", [6] * 12, [1, 2, 3, 6], levels=1),
    case(rng, "ties of both", [7] * 10, [1, 2, 4], levels=1, human_levels=1),
    case(rng, "prompts of uneven size", [1, 2, 3, 9, 4, 1, 12, 5], [1, 2, 4, 8, 12, 13], human_levels=2),
    case(rng, "sixteen items", [16, 16, 15], [1, 2, 4, 8, 16]),
]
out = Path(__file__).with_name("vectors.json")
out.write_text(json.dumps({"numpy": np.__version__, "cases": cases}, indent=1) + "\n")
