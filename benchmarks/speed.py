"""Measure speed as ratios, hold each to its goal, and keep the table in docs/results.

python -m benchmarks.speed [--threads 1,2] [--seconds 3] [--parts published,meta,others,tasks] [--keep]

It ends with status 1 where a ratio misses its goal by more than a fifth. With --keep the table goes into
docs/results/speed/, by the kind of processor, and docs/results/speed.md is written again.
"""

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from benchmarks.inner_loop import measure, meta_gradients, side_by_side, training
from benchmarks.networks import AS_WRITTEN, OTHERS, PUBLISHED
from benchmarks.page import KEPT, write_page
from benchmarks.timing import interleaved, machine

OUT = Path("outputs/benchmarks/speed.json")
TOLERANCE = 0.8
NAMES = {
    "omniglot": "Omniglot 5-way", "omniglot20": "Omniglot 20-way", "miniimagenet": "mini-ImageNet",
    "sine": "sine waves",
}  # fmt: skip
# Shares of the rate of a large matrix product, by instructions and threads.
OF_LIMIT = {
    ("AVX2", 1): {"omniglot": 0.75, "omniglot20": 0.75, "miniimagenet": 0.75},
    ("AVX2", 2): {"omniglot": 0.65, "omniglot20": 0.65, "miniimagenet": 0.65},
    ("AVX-512", 1): {"omniglot": 0.80, "omniglot20": 0.80, "miniimagenet": 0.80},
    ("AVX-512", 2): {"omniglot": 0.70, "omniglot20": 0.75, "miniimagenet": 0.75},
}
# Times as fast as the plain loop: a step, and the evaluation of a task.
OF_PLAIN = {
    "omniglot": (2.5, 3.0),
    "omniglot20": (1.7, 3.0),
    "miniimagenet": (1.7, 3.0),
    "sine": (3, 4),
}


@dataclass
class Row:
    """A ratio: what it is, what was measured, and what it should be; at most, or else at least."""

    what: str
    value: float
    goal: float | None = None
    at_most: bool = False
    percent: bool = False

    @property
    def is_met(self) -> bool:
        """Tell whether the goal is reached, to a fifth of it."""
        if self.goal is None:
            return True
        return (
            self.value * TOLERANCE <= self.goal
            if self.at_most
            else self.value >= TOLERANCE * self.goal
        )

    def written(self, number: float | None) -> str:
        """Write a number of this row."""
        if number is None:
            return ""
        return f"{number:.0%}" if self.percent else f"{number:.2f}"


def published(threads: int, seconds: float, found: dict[str, Any]) -> Iterator[Row]:
    """Measure the published networks' steps and evaluation."""
    goals = OF_LIMIT.get((machine()["kind"], threads), {})
    for name, make in PUBLISHED.items():
        one = found[f"{name}, {threads} threads"] = measure(make(), seconds)
        steps, tasks = one["training_ms_a_step"], one["evaluation_ms_a_task"]
        label = f"{NAMES[name]}, {threads} thread{'s' * (threads > 1)}"
        if name != "sine":
            share = one["limit_ms"] / steps["ours"][0]
            yield Row(
                f"{label}: a step, of the machine's limit", share, goals.get(name), percent=True
            )
        for what, times, goal in (("a step", steps, 0), ("evaluation", tasks, 1)):
            ratio = times["plain loop"][2] / times["ours"][2]
            yield Row(
                f"{label}: {what}, times as fast as the plain loop", ratio, OF_PLAIN[name][goal]
            )


def meta(threads: int, seconds: float, found: dict[str, Any]) -> Iterator[Row]:
    """Measure the second-order algorithms beside Reptile."""
    for name, goal in (("omniglot", 4.0), ("sine", 3.0)):
        times = interleaved(meta_gradients(PUBLISHED[name]()), seconds)
        found[f"meta-gradients, {name}, {threads} threads"] = times
        for rule in list(times)[1:]:
            ratio = times[rule][2] / times["Reptile"][2]
            yield Row(f"{NAMES[name]}: {rule}, times Reptile's time", ratio, goal, at_most=True)


def others(threads: int, seconds: float, found: dict[str, Any]) -> Iterator[Row]:
    """Measure networks that have no code of our own."""
    for name, make in OTHERS.items():
        calls = {way: call for way, call in training(make()).items() if "learn2learn" not in way}
        times = found[f"{name}, {threads} threads"] = interleaved(calls, seconds)
        ratio = times["plain loop"][2] / times["ours"][2]
        goal = 0.95 if name in AS_WRITTEN else 1.5
        yield Row(f"{name}: a step, times as fast as the plain loop", ratio, goal)


def tasks(threads: int, seconds: float, found: dict[str, Any]) -> Iterator[Row]:
    """Measure as many tasks as threads, in turn and each with a thread of its own."""
    times = interleaved(side_by_side(PUBLISHED["omniglot"](), threads), seconds)
    found[f"tasks, {threads} threads"] = times
    ratio = times["tasks in turn"][2] / times["a task a thread"][2]
    yield Row(f"{threads} threads: a task a thread, times as fast as all on each task", ratio, 1.0)


PARTS = {"published": published, "meta": meta, "others": others, "tasks": tasks}


def main() -> int:
    """Measure, print the table and write it; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=3, help="for each comparison")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--keep", action="store_true", help="put the table into docs/results")
    options = parser.parse_args()
    parts = options.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"--parts {unknown[0]} is not known; there are: {', '.join(PARTS)}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    times: dict[str, Any] = {}
    rows: list[Row] = []
    threads = [int(number) for number in options.threads.split(",")]
    print(f"{'':76s} {'found':>6s} {'goal':>6s}")
    for part in parts:
        runs = threads if part == "published" else threads[-1:] if part == "tasks" else threads[:1]
        for number in runs:
            torch.set_num_threads(number)
            for row in PARTS[part](number, options.seconds, times):
                rows.append(row)
                sign = "" if row.goal is None else "<" if row.at_most else ">"
                print(
                    f"{row.what:76s} {row.written(row.value):>6s} {sign + row.written(row.goal):>6s}"
                    f"{'' if row.is_met else '  MISSED'}", flush=True,
                )  # fmt: skip
    record = {
        **machine(), "date": date.today().isoformat(), "commit": commit.stdout.strip(),
        "rows": [asdict(row) for row in rows], "milliseconds": times,
    }  # fmt: skip
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    if options.keep:
        KEPT.mkdir(exist_ok=True)
        path = KEPT / f"{record['kind']}.json"
        kept = json.loads(path.read_text())[:1] if path.exists() else []
        path.write_text(json.dumps([record, *kept], indent=1) + "\n")
        write_page()
    return int(not all(row.is_met for row in rows))


if __name__ == "__main__":
    sys.exit(main())
