"""Reads JSONL labels line by line with the standard library: `parse` drops each row, `rows` keeps them, `columns` keeps what
statistics need (ids, sums of votes, clusters). Prints the seconds that took."""

import json
import sys
import time

mode, path = sys.argv[1:]
start = time.perf_counter()
with open(path, encoding="utf-8") as lines:
    if mode == "parse":
        for line in lines:
            json.loads(line)
    elif mode == "rows":
        rows = [json.loads(line) for line in lines]
    else:
        ids, left, right, cluster, groups, clusters = [], [], [], [], {}, {}
        for line in lines:
            row = json.loads(line)
            ids.append(row["id"])
            left.append(sum(row["labels"]))
            right.append(len(row["labels"]) - left[-1])
            cluster.append(clusters.setdefault(row["prompt_id"], len(clusters)))
            for name, value in row["groups"].items():
                groups.setdefault(name, []).append(value)
print(time.perf_counter() - start)
