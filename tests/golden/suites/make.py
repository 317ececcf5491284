"""Figures of suites on made scores, by the functions of rewardbench 0.1.4 themselves, which are taken out of its wheel: the package
imports much that the figures do not need. Those of ImageReward by its test.py (acc: pairs of unequal rank, the better one strictly
higher), those of HPDv3 by HPSv3's evaluate/evaluate.py (mode pair: reward_1 > reward_2 over all pairs, path1 being the better one).

Run: pip download rewardbench==0.1.4 --no-deps -d . && python make.py rewardbench-0.1.4-py3-none-any.whl > suites.json
"""

import ast
import json
import math
import sys
import types
import zipfile

import numpy as np


class Dataset:
    """Stands for datasets.Dataset, which only carries the rows back."""

    @staticmethod
    def from_dict(columns):
        return columns


def functions(wheel, path, names):
    source = zipfile.ZipFile(wheel).read(path).decode()
    tree = ast.parse(source)
    kept = [
        node
        for node in tree.body
        if (isinstance(node, ast.FunctionDef) and node.name in names)
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in names)
    ]
    for node in kept:
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
    module = types.ModuleType("rewardbench")
    module.__dict__.update(np=np, math=math, Dataset=Dataset)
    exec(compile(ast.Module(kept, []), path, "exec"), module.__dict__)
    return module


wheel = sys.argv[1]
constants = functions(wheel, "rewardbench/constants.py", {"EXAMPLE_COUNTS", "SUBSET_MAPPING"})
utils = functions(
    wheel, "rewardbench/utils.py", {"calculate_scores_per_section", "sample_stats", "process_single_model"}
)
random = np.random.RandomState(0)


def score():
    """Rounded so that some are equal."""
    return float(np.round(random.normal(), 1))


# RewardBench: a few rows of each subset.
rows, results = [], {}
for section in constants.SUBSET_MAPPING.values():
    for subset in section:
        for i in range(random.randint(3, 9)):
            chosen, rejected = score(), score()
            rows.append({"id": f"{subset}/{i}", "subset": subset, "scores": [chosen, rejected]})
            results.setdefault(subset, []).append(1 if chosen > rejected else 0)
accuracy = {subset: float(np.mean(values)) for subset, values in results.items()}
sections = utils.calculate_scores_per_section(constants.EXAMPLE_COUNTS, constants.SUBSET_MAPPING, accuracy)
rewardbench = {
    "rows": rows,
    "subsets": accuracy,
    "sections": sections,
    "whole": float(np.mean(list(sections.values()))),
}

# RewardBench 2: best of four, and ties.
records, expected = [], {}
for subset in ["Factuality", "Precise IF", "Math", "Safety", "Focus"]:
    credits = []
    for i in range(12):
        scores = [score() for _ in range(4)]
        records.append({"id": f"{subset}-{i}", "subset": subset, "num_correct": 1, "scores": scores})
        best = np.max(scores)  # reroll_and_score_dataset: a penalty for ties
        credits.append(float(1 / np.sum(np.array(scores) == best)) if scores[0] == best else 0.0)
    expected[subset] = float(sum(credits) / len(credits))
ties = []
for i in range(10):
    for kind, correct, wrong in [("ref", 1, 3), ("tied", random.randint(2, 5), 3)]:
        scores = [score() + (1.0 if k < correct else 0.0) for k in range(correct + wrong)]
        ties.append({"id": f"{kind}:{i}", "subset": "Ties", "num_correct": int(correct), "scores": scores})
_, overall = utils.process_single_model(ties)
expected["Ties"] = float(overall)
rewardbench2 = {
    "records": records + ties,
    "subsets": expected,
    "whole": float(np.mean(list(expected.values()))),
}

# ImageReward: rankings of pictures with equal ranks (test.py); HPDv3: chosen above rejected.
rankings, right, compared = [], 0, 0
for i in range(15):
    ranks = [int(rank) for rank in random.randint(1, 5, size=5)]
    rewards = [score() for _ in ranks]
    rankings.append({"prompt": f"p{i}", "ranks": ranks, "rewards": rewards})
    for a in range(len(ranks)):
        for b in range(a + 1, len(ranks)):
            if ranks[a] == ranks[b]:
                continue
            compared += 1
            right += rewards[a] < rewards[b] if ranks[a] > ranks[b] else rewards[a] > rewards[b]
pairs = [[score(), score()] for _ in range(60)]
# Votes that the script does not read: some are equal, some against the picture that stands first.
votes = [[int(n) for n in np.random.RandomState(i).randint(1, 9, size=2)] for i in range(60)]
print(
    json.dumps(
        {
            "rewardbench": rewardbench,
            "rewardbench2": rewardbench2,
            "imagereward": {"rankings": rankings, "whole": right / compared},
            "hpdv3": {"pairs": pairs, "votes": votes, "whole": float(np.mean([a > b for a, b in pairs]))},
        }
    )
)
