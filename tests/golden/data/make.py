"""Writes vectors.json and rows.parquet: agreement, Dawid-Skene and Parquet as other implementations see them.

krippendorff 0.8, statsmodels 0.15 (fleiss_kappa), crowd-kit (DawidSkene), pyarrow; hashes by hashlib.
Run: python tests/golden/data/make.py
"""

import hashlib
import json
import math
from pathlib import Path

import krippendorff
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

here = Path(__file__).parent
rng = np.random.default_rng(7)


def units_with_gaps(values, rows, raters, missing):
    truth = rng.integers(0, len(values), rows)
    noisy = np.where(rng.random((rows, raters)) < 0.6, truth[:, None], rng.integers(0, len(values), (rows, raters)))
    data = np.asarray(values, dtype=float)[noisy]
    data[rng.random((rows, raters)) < missing] = np.nan
    return data


def as_lists(data):
    return [[v for v in row if not math.isnan(v)] for row in data.tolist()]


alpha = []
for values in ([0, 1], [0, 0.5, 1], [1, 2, 3, 4, 5], [-3.5, 0.1, 7, 100]):
    data = units_with_gaps(values, 40, 6, 0.25)
    domain = sorted(values)
    alpha.append(
        {
            "units": as_lists(data),
            **{
                level: float(krippendorff.alpha(reliability_data=data.T, value_domain=domain, level_of_measurement=level))
                for level in ("nominal", "ordinal", "interval")
            },
        }
    )

kappa = []
for values in ([0, 1], [0, 0.5, 1]):
    data = units_with_gaps(values, 50, 5, 0)
    table, _ = aggregate_raters((data * 2).astype(int))
    kappa.append({"units": as_lists(data), "fleiss": float(fleiss_kappa(table, method="fleiss"))})


def dawid_skene(rows, raters, answers, iterations=5000):
    """Dawid and Skene (1979), equations 2.3 to 2.5, written for clarity: dense and in probabilities."""
    counts = np.zeros((len(rows), len(raters), len(answers)))
    for i, votes in enumerate(rows):
        for rater, vote in votes:
            counts[i, raters.index(rater), answers.index(vote)] += 1
    posterior = counts.sum(1)
    posterior /= posterior.sum(1, keepdims=True)
    for _ in range(iterations):
        prior = posterior.mean(0)
        confusion = np.einsum("ik,irl->rkl", posterior, counts)
        confusion /= np.maximum(confusion.sum(2, keepdims=True), 1e-300)
        likelihood = np.prod(np.maximum(confusion[None], 1e-12) ** counts[:, :, None, :], axis=(1, 3))
        posterior = likelihood * prior
        posterior /= posterior.sum(1, keepdims=True)
    return posterior @ np.asarray(answers)


skene = []
for answers in ([0, 1], [0, 0.5, 1]):
    names = [f"rater{i}" for i in range(6)]
    skill = [0.95, 0.9, 0.8, 0.7, 0.55, 0.3]
    truth = rng.choice(answers, 60)
    rows = []
    for t in truth:
        chosen = [i for i in range(6) if rng.random() < 0.8] or [0]
        rows.append(
            [(names[i], float(t) if rng.random() < skill[i] else float(rng.choice(answers))) for i in chosen]
        )
    entry = {"rows": rows, "left": dawid_skene(rows, names, answers).tolist()}
    try:
        from crowdkit.aggregation import DawidSkene

        frame = pd.DataFrame(
            [(i, rater, vote) for i, votes in enumerate(rows) for rater, vote in votes], columns=["task", "worker", "label"]
        )
        probabilities = DawidSkene(n_iter=2000, tol=1e-12).fit_predict_proba(frame)
        entry["crowdkit"] = (probabilities[answers].sort_index().to_numpy() @ np.asarray(answers)).tolist()
    except ImportError:
        pass
    skene.append(entry)

hashes = []
for seed, cluster in ((0, "a"), (7, "coco_669925"), (123, "é\u2028"), (1, "")):
    first = int.from_bytes(hashlib.sha256(f"{seed}:{cluster}".encode()).digest()[:8], "big")
    hashes.append({"seed": seed, "cluster": cluster, "place": first / 2**64})

(here / "vectors.json").write_text(json.dumps({"alpha": alpha, "kappa": kappa, "skene": skene, "hashes": hashes}))

table = {
    "id": [str(i) for i in range(300)],
    "type": ["pair"] * 300,
    "left": [f"l{i}.jpg" for i in range(300)],
    "right": [f"r{i}.jpg" for i in range(300)],
    "context": ["é ü \u2028"] * 150 + [None] * 150,
    "label1": pa.array([i % 2 for i in range(300)], pa.int64()),
    "label2": pa.array([None if i % 3 == 0 else 0.5 for i in range(300)], pa.float64()),
    "prompt_id": pa.array([i // 5 for i in range(300)], pa.int64()),
    "group.source": ["coco", "draw"] * 150,
}
for codec in ("snappy", "gzip", "brotli", "zstd", "lz4"):
    for version in ("1.0", "2.0"):
        pq.write_table(
            pa.table(table),
            here / f"{codec}-{version[0]}.parquet",
            compression=codec,
            data_page_version=version,
            row_group_size=128,
            write_page_checksum=True,
        )
nested = pa.table({"id": ["1", "2"], "type": ["pair"] * 2, "left": ["a", "b"], "right": ["c", "d"], "labels": [[1.0, 0.5], [0.0]]})
pq.write_table(nested, here / "list.parquet")

# Texts that take over the beginning of the one before, as Spark and Trino write them; with nulls among them, in both page versions.
words = ["a.jpg", "a.png", None, "ab/a3é.png", "ab/a4.png", None]
for version in ("1.0", "2.0"):
    pq.write_table(
        pa.table({"id": [str(i) for i in range(6)], "type": ["pair"] * 6, "left": ["l"] * 6, "right": ["r"] * 6, "context": words}),
        here / f"delta-{version[0]}.parquet",
        use_dictionary=False,
        column_encoding={name: "DELTA_BYTE_ARRAY" for name in ("id", "type", "left", "right", "context")},
        data_page_version=version,
    )

# A struct has every member that any row has, null where a row has it not; and texts that no other format may hold.
odd = pa.table(
    {
        "id": ["1", "2", "3", "4"],
        "type": ["pair"] * 4,
        "left": pa.array([{"image": "a", "text": None}] * 4, pa.struct([("image", pa.string()), ("text", pa.string())])),
        "right": ["r", "r", "nul\0", "r"],
        "context": pa.array([b"x", b"x", b"x", b"\xff"], pa.binary()),
        "groups": pa.array([{"style": "t", "source": None}, {"style": None, "source": None}, None, None]),
    }
)
odd = odd.set_column(4, "context", pa.Array.from_buffers(pa.string(), 4, odd.column("context").combine_chunks().buffers()))
pq.write_table(odd, here / "odd.parquet")

# zstd as the program writes it: a frame with a checksum, one that says nothing of its size, one that can be skipped, an empty one.
import zstandard

rows = "".join(f'{{"id":"{i}","type":"pair","left":"a","right":"b"}}\n' for i in range(20000)).encode()
half = rows.index(b'{"id":"10000"')
stream = zstandard.ZstdCompressor(level=3, write_content_size=False).compressobj()
frames = [
    zstandard.ZstdCompressor(level=3, write_checksum=True).compress(rows[:half]),
    b"\x53\x2a\x4d\x18\x05\x00\x00\x00hello",
    stream.compress(rows[half:]) + stream.flush(),
    zstandard.ZstdCompressor().compress(b""),
]
(here / "rows.jsonl.zst").write_bytes(b"".join(frames))
# A window of 2 GiB, as `zstd --ultra --long=31` asks for.
parameters = zstandard.ZstdCompressionParameters(window_log=31, write_content_size=False)
long_window = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
(here / "window.jsonl.zst").write_bytes(long_window.compress(rows[:200]) + long_window.flush())
