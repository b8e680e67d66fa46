"""What a run leaves behind: results.json, and its statistics."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from firstorder.data.source import TaskSource
from firstorder.run.learner import MetaLearner
from firstorder.run.provenance import hardware, peak_memory, versions
from firstorder.run.run import Run

SCHEMA = 2


def with_diverged(test: dict[str, Any], diverged: int) -> dict[str, Any]:
    """Add the number of tasks that diverged to the summary, under each protocol where it has several."""
    if all(isinstance(numbers, dict) for numbers in test.values()):
        return {protocol: {**numbers, "diverged": diverged} for protocol, numbers in test.items()}
    return {**test, "diverged": diverged}


def results(
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    *,
    steps: int,
    eval_seconds: float,
    test: dict[str, Any],
    adaptation: dict[str, Any],
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
        **({"trained": run.trained} if run.trained else {}),
        "hardware": hardware(),
        "started": journal.started,
        "steps": steps,
        "interruptions": journal.interruptions,
        "train_seconds": run.time.seconds,
        "eval_seconds": eval_seconds,
        **peak_memory(),
        "objective": learner.objective(run.config["objective"]),
        "test": test,
        "adaptation": adaptation,
    }


def show(
    rows: list[tuple[str, str, int]],
    diverged: int,
    folder: Path,
    steps: int,
    train_seconds: float,
    eval_seconds: float,
) -> None:
    """Print the closing table of a run."""
    table = Table(title=f"{steps} outer iterations in {train_seconds:.0f} s", box=box.SIMPLE)
    for column in ("test", "mean ± 95% interval", "tasks"):
        table.add_column(column)
    for name, text, tasks in rows:
        table.add_row(name, text, f"{tasks}, {diverged} diverged" if diverged else str(tasks))
    console = Console(soft_wrap=True)
    console.print(table, end="")
    console.print(f"evaluated in {eval_seconds:.0f} s; results in {folder}")
