"""What the peers in Python share: rows in, batches through `scores`, one warm-up, pair logits and seconds out."""
import json
import time


def score_pairs(scores, folder, batch, count, out):
    """`scores` takes (context, item) of so many items and gives as many numbers, which `float` reads."""
    with open(folder + "/pairs.jsonl") as f:
        pairs = [json.loads(line) for line in f]

    def run(some):
        rows = [(pair.get("context"), pair[side]) for pair in some for side in ("left", "right")]
        return [score for at in range(0, len(rows), batch) for score in scores(rows[at : at + batch])]

    run(pairs[count : count + batch])
    started = time.perf_counter()
    result = run(pairs[:count])
    seconds = time.perf_counter() - started
    with open(out, "w") as f:
        json.dump([float(left) - float(right) for left, right in zip(result[::2], result[1::2])], f)
    print(json.dumps({"seconds": seconds}))
