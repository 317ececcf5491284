"""Scores Parquet or JSONL with Ray Data: rows go to actors that each run one `hpsv3 worker`.

    python ray_score.py model.onnx pairs.parquet scores/ --actors 8

Needs `pip install "ray[data]"`, and python/hpsv3.py beside this file or on PYTHONPATH. The output is Parquet parts with
id, logit, score, winner, error. A block that Ray computes again gives the same bytes: scores depend on nothing but
their row and the model.
"""

import argparse
import json
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent / "python"))


class Scorer:
    def __init__(self, model: str, media_root: str):
        from hpsv3 import HPSv3Scorer  # in the actor: a process of Node belongs to each

        self.scorer = HPSv3Scorer(model=model, arguments=["--threads", "1", "--media-root", media_root])

    def __call__(self, batch):
        from hpsv3 import columns

        rows = [json.loads(row) for row in batch["row"]]
        return columns(self.scorer.score_batch(rows, errors="return"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("output", help="a folder, or an address such as s3://bucket/scores")
    parser.add_argument("--actors", type=int, default=1, help="leave Ray one processor: it hangs where actors take them all")
    parser.add_argument("--media-root", default=".", help="absolute, on every node")
    arguments = parser.parse_args()

    import ray

    model, media_root = (str(pathlib.Path(path).resolve()) for path in (arguments.model, arguments.media_root))
    # Lines as they are: a table would give every row the columns of all others.
    rows = (
        ray.data.read_parquet(arguments.input).map(lambda row: {"row": json.dumps(row, default=str)})
        if arguments.input.endswith(".parquet")
        else ray.data.read_text(arguments.input).rename_columns({"text": "row"})
    )
    rows.map_batches(
        Scorer,
        fn_constructor_args=(model, media_root),
        batch_size=256,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=arguments.actors),
    ).write_parquet(arguments.output)


if __name__ == "__main__":
    main()
