"""What a run leaves behind: results.json, and its statistics."""

from math import isfinite
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

from firstorder.data.source import TaskSource
from firstorder.run.learner import MetaLearner
from firstorder.run.provenance import hardware, peak_memory, versions
from firstorder.run.run import Run

SCHEMA = 2


def summary(kind: str, scores: dict[str, Tensor]) -> dict[str, Any]:
    """Return mean and interval of each protocol's scores, (tasks,) each, as results.json holds them."""
    if kind == "regression":
        return interval("mse", scores["mse"])
    return {protocol: interval("accuracy", values) for protocol, values in scores.items()}


def interval(name: str, values: Tensor) -> dict[str, float]:
    """Return the mean over tasks and its 95% interval, 1.96 standard errors.

    The interval is 0 for a single task, and infinite where the mean is.
    """
    values = values.double().cpu().flatten()
    mean = values.mean().item()
    deviation = values.std().item() if len(values) > 1 else 0.0
    return {
        name: mean,
        "ci95": 1.96 * deviation / len(values) ** 0.5 if isfinite(mean) else mean,
        "tasks": len(values),
    }


def with_diverged(test: dict[str, Any], diverged: int) -> dict[str, Any]:
    """Add the number of tasks that diverged to the summary, under each protocol where it has several."""
    if all(isinstance(found, dict) for found in test.values()):
        return {protocol: {**found, "diverged": diverged} for protocol, found in test.items()}
    return {**test, "diverged": diverged}


def results(
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    *,
    steps: int,
    eval_seconds: float,
    test: dict[str, Any],
) -> dict[str, Any]:
    """Return all that results.json holds: schema 2."""
    journal = run.journal
    return {
        "schema": SCHEMA,
        "algo": learner.algorithm.name,
        "data": {
            "name": source.name,
            "fingerprint": source.fingerprint,
            "classes": source.classes,
        },
        "seed": run.config["seed"],
        "config": run.config,
        "versions": versions(),
        "command": journal.command,
        "commit": journal.commit,
        "dirty": journal.dirty,
        "hardware": hardware(),
        "started": journal.started,
        "steps": steps,
        "interruptions": journal.interruptions,
        "train_seconds": run.time.seconds,
        "eval_seconds": eval_seconds,
        **peak_memory(),
        "test": test,
    }


def show(
    test: dict[str, Any], folder: Path, steps: int, train_seconds: float, eval_seconds: float
) -> None:
    """Print the closing table of a run."""
    table = Table(title=f"{steps} outer iterations in {train_seconds:.0f} s", box=box.SIMPLE)
    for column in ("test", "mean ± 95% interval", "tasks"):
        table.add_column(column)
    for protocol, numbers in {"": test}.items() if "mse" in test else test.items():
        if "mse" in numbers:
            row = "mean squared error", f"{numbers['mse']:.4f} ± {numbers['ci95']:.4f}"
        else:
            accuracy, ci95 = 100 * numbers["accuracy"], 100 * numbers["ci95"]
            row = protocol.replace("_", "-"), f"{accuracy:.2f} ± {ci95:.2f} %"
        diverged = f", {numbers['diverged']} diverged" if numbers["diverged"] else ""
        table.add_row(*row, f"{numbers['tasks']}{diverged}")
    console = Console(soft_wrap=True)
    console.print(table, end="")
    console.print(f"evaluated in {eval_seconds:.0f} s; results in {folder}")
