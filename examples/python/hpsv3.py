"""Score with hpsv3 from Python, without installing anything: this file runs `hpsv3 worker` and speaks with it.

    scorer = HPSv3Scorer(model="model.onnx")
    print(scorer.score_pair({"image": "a.jpg"}, {"image": "b.jpg"}))

Python 3.9 or later. Copy the file beside your program, or put its folder on PYTHONPATH.
"""

from __future__ import annotations

import base64
import collections
import json
import os
import shlex
import subprocess
import threading
from array import array
from typing import Any, Iterable, Iterator, Mapping, Sequence

PARTS = ("image", "text", "audio", "video")
MODES = ("pairwise", "item")


class ScoringError(Exception):
    """A row that cannot be scored: `code` and `id` say why and which."""

    def __init__(self, id: str | None, code: str, message: str):
        super().__init__(f"{id}: {message} ({code})")
        self.id, self.code = id, code


class WorkerError(Exception):
    """The worker did not start, or ended again and again; its own words are on standard error."""


class Score(float):
    """P(left preferred) of a pair, or the utility of an item, with all else that the model says as attributes:
    `logit`, `winner`, `confidence`, `calibrated`, `model`, `id`, as they stand in the rows of `hpsv3 batch`."""

    def __new__(cls, answer: Mapping[str, Any]) -> "Score":
        score = super().__new__(cls, answer["score"])
        score.__dict__.update(answer)
        return score

    def __reduce__(self):
        return Score, (dict(self.__dict__),)


class HPSv3Scorer:
    """Scores pairs and items with one model, in a process of its own that lives as long as this object.

    model       the .onnx file; by default what HPSV3_MODEL names
    device      cpu, cuda:0, webgpu or auto
    mode        "pairwise" or "item": what score_batch takes a sample without left and right for
    batch_size  rows that are computed together; it changes no score
    task        given to each call: selects a calibrator that has one for each task
    command     the program; by default what HPSV3_COMMAND says, else "hpsv3"
    arguments   more flags for it, such as ["--calibrator", "calibrator.json"]
    restarts    how often a worker that was killed is replaced; rows without an answer are sent again
    """

    def __init__(
        self,
        device: str = "cpu",
        mode: str = "pairwise",
        batch_size: int = 16,
        *,
        model: str | None = None,
        command: Sequence[str] | None = None,
        arguments: Sequence[str] = (),
        restarts: int = 3,
    ):
        model = model or os.environ.get("HPSV3_MODEL")
        if not model:
            raise ValueError("no model: give model=, or set HPSV3_MODEL")
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        program = list(command or shlex.split(os.environ.get("HPSV3_COMMAND", "hpsv3")))
        self._command = [*program, "worker", "--model", os.fspath(model), "--device", device]
        self._command += ["--batch-size", str(batch_size), *arguments]
        self.mode = mode
        self._restarts = restarts
        self._workers: dict[bool, _Worker] = {}
        self._lock = threading.Lock()

    def score_pair(self, left: Any, right: Any, task: str | None = None, context: str | None = None) -> Score:
        """Which of two items is preferred. An item is a text, or {"image": path or bytes}, {"text": …}, …"""
        return self.score_batch([{"left": left, "right": right, "context": context}], task=task)[0]

    def score_batch(self, samples: Iterable[Any], task: str | None = None, errors: str = "raise") -> list[Any]:
        """Scores of many samples, in order: pairs are {"left", "right"}, all else is an item.
        With errors="return" a ScoringError stands in the place of a row that cannot be scored."""
        return list(self.score_stream(samples, task, errors))

    def score_stream(self, samples: Iterable[Any], task: str | None = None, errors: str = "raise") -> Iterator[Any]:
        """As score_batch, of any number of samples: it reads a little ahead and holds no more."""
        rows = (_row(sample, i, task, self.mode) for i, sample in enumerate(samples, 1))
        for answer in self._answers(rows, embed=False):
            yield _checked(answer, errors) or Score(answer)

    def embed(self, items: Any) -> Any:
        """The pooled latents (float32) of one item, or of each of a list of items."""
        many = isinstance(items, (list, tuple))
        rows = (_row(item, i, None, "item") for i, item in enumerate(items if many else [items], 1))
        vectors = [_checked(answer, "raise") or array("f", answer["embedding"]) for answer in self._answers(rows, embed=True)]
        return vectors if many else vectors[0]

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def __enter__(self) -> "HPSv3Scorer":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # at the end of the interpreter there may be nothing left to close with
            pass

    def _answers(self, rows: Iterator[dict], embed: bool) -> Iterator[dict]:
        with self._lock:
            unanswered: collections.deque[str] = collections.deque()
            lines = (f"{json.dumps(row)}\n" for row in rows)
            for attempt in range(self._restarts + 1):
                worker = None
                finished = False
                try:
                    worker = self._workers.get(embed) or self._start(embed)
                    for answer in worker.exchange(lines, unanswered):
                        yield answer
                    finished = True
                    return
                except _Died as died:
                    if attempt == self._restarts:
                        raise WorkerError(f"the worker ended with {died} {attempt + 1} times: {self._command}") from None
                finally:
                    if worker and not finished:  # it died, or nobody wants the rest of its answers
                        worker.kill()
                        self._workers.pop(embed, None)

    def _start(self, embed: bool) -> "_Worker":
        command = [*self._command, *(["--embed"] if embed else [])]
        worker = self._workers[embed] = _Worker(command)
        return worker


class _Died(Exception):
    pass


class _Worker:
    def __init__(self, command: Sequence[str]):
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise WorkerError(f"{command[0]} cannot be run: {error}. Set HPSV3_COMMAND, or give command=") from error
        ready = self._process.stdout.readline()
        if not ready:
            code = self._process.wait()
            if code < 0:  # killed from outside, which another try may be spared
                raise _Died(f"exit code {code}")
            raise WorkerError(f"the worker ended with exit code {code}: {shlex.join(command)}")
        self.facts = json.loads(ready)

    def exchange(self, lines: Iterator[str], unanswered: "collections.deque[str]") -> Iterator[dict]:
        """Sends what has no answer yet and then `lines` as one frame, and gives its answers."""
        writer = threading.Thread(target=self._write, args=(list(unanswered), lines, unanswered), daemon=True)
        self._failure: BaseException | None = None
        writer.start()
        for line in self._process.stdout:
            if line == b"\n":
                writer.join()
                if self._failure:
                    raise self._failure
                return
            if not line.endswith(b"\n"):
                break  # killed while it wrote
            answer = json.loads(line)
            unanswered.popleft()
            yield answer
        code = self._process.wait()
        writer.join()
        raise _Died(f"exit code {code}")

    def _write(self, again: Sequence[str], lines: Iterator[str], unanswered: "collections.deque[str]") -> None:
        stdin = self._process.stdin
        try:
            try:
                for line in again:
                    stdin.write(line.encode())
                for line in lines:
                    unanswered.append(line)
                    stdin.write(line.encode())
                    stdin.flush()  # the next line may wait for the answer to this one
            except BrokenPipeError:
                return  # who reads the answers notices, and sends the rest to another
            except BaseException as error:  # of the samples: given to who asked for the answers
                self._failure = error
            stdin.write(b"\n")
            stdin.flush()
        except BrokenPipeError:
            pass

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._release()

    def close(self) -> None:
        self._release()
        self._process.wait()

    def _release(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                pipe.close()
            except OSError:
                pass


def columns(results: Sequence[Any]) -> dict[str, list]:
    """What score_batch(errors="return") gives, as columns of a table."""
    named = {name: [getattr(one, name, None) for one in results] for name in ("id", "logit", "winner")}
    failed = [isinstance(one, ScoringError) for one in results]
    return {
        "id": named["id"],
        "logit": named["logit"],
        "score": [None if bad else float(one) for one, bad in zip(results, failed)],
        "winner": named["winner"],
        "error": [str(one) if bad else None for one, bad in zip(results, failed)],
    }


def _row(sample: Any, number: int, task: str | None, mode: str) -> dict:
    """A row of `hpsv3 batch`."""
    row = dict(sample) if isinstance(sample, Mapping) and ("left" in sample or "type" in sample) else None
    if row is None:
        if mode == "pairwise" and isinstance(sample, (list, tuple)) and len(sample) == 2:
            row = {"left": sample[0], "right": sample[1]}
        else:
            row = _item_row(sample)
    if "left" in row:
        row.setdefault("type", "pair")
    for name in ("left", "right", "content"):
        if name in row:
            row[name] = _item(row[name])
    row = {"id": str(number), **row}
    if task is not None:
        row.setdefault("task", task)
    return {name: value for name, value in row.items() if value is not None}


def _item_row(sample: Any) -> dict:
    item = {"text": sample} if isinstance(sample, str) else dict(sample)
    parts = [part for part in PARTS if part in item]
    kind = "image_text" if parts == ["image", "text"] else "_".join(sorted(parts, key=lambda part: part == "text"))
    return {"type": kind or "text", **{name: _inline(value) for name, value in item.items()}}


def _item(item: Any) -> Any:
    return {name: _inline(value) for name, value in item.items()} if isinstance(item, Mapping) else item


def _inline(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, (bytes, bytearray, memoryview)) else value


def _checked(answer: Mapping[str, Any], errors: str) -> "ScoringError | None":
    if "error" not in answer:
        return None
    failed = ScoringError(answer["id"], answer["error"]["code"], answer["error"]["message"])
    if errors == "return":
        return failed
    raise failed
