"""Scores Parquet or JSONL with Spark: every task runs one `hpsv3 worker` over its partition.

    spark-submit --py-files python/hpsv3.py spark_score.py model.onnx pairs.jsonl scores/

Needs `pip install pyspark pandas pyarrow`. The output is Parquet parts with id, logit, score, winner, error. A task that
Spark runs again gives the same rows: scores depend on nothing but their row and the model.
"""

import argparse
import json
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent / "python"))

SCHEMA = "id string, logit double, score double, winner string, error string"


def scoring(model: str, media_root: str):
    def score(batches):
        import pandas
        from hpsv3 import HPSv3Scorer, columns

        with HPSv3Scorer(model=model, arguments=["--threads", "1", "--media-root", media_root]) as scorer:
            for batch in batches:
                rows = [json.loads(row) for row in batch["value"]]
                yield pandas.DataFrame(columns(scorer.score_batch(rows, errors="return")))

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--media-root", default=".", help="absolute, on every node")
    arguments = parser.parse_args()

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("hpsv3").getOrCreate()
    # Lines as they are: a table would give every row the columns of all others.
    rows = (
        spark.read.parquet(arguments.input).selectExpr("to_json(struct(*)) AS value")
        if arguments.input.endswith(".parquet")
        else spark.read.text(arguments.input)
    )
    model, media_root = (str(pathlib.Path(path).resolve()) for path in (arguments.model, arguments.media_root))
    rows.mapInPandas(scoring(model, media_root), SCHEMA).write.mode("error").parquet(arguments.output)
    spark.stop()


if __name__ == "__main__":
    main()
