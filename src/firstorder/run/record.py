"""What a run leaves behind: results.json, and its statistics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from firstorder.data.source import TaskSource
from firstorder.messages import console
from firstorder.run.learner import MetaLearner
from firstorder.run.provenance import hardware, peak_memory, versions
from firstorder.run.run import Run
from firstorder.task.base import TaskKind

SCHEMA = 2


def with_diverged(test: dict[str, Any], diverged: int) -> dict[str, Any]:
    """Add the number of tasks that diverged to the summary, under each protocol where it has several."""
    if all(isinstance(numbers, dict) for numbers in test.values()):
        return {protocol: {**numbers, "diverged": diverged} for protocol, numbers in test.items()}
    return {**test, "diverged": diverged}


def gap(train: Mapping[str, Any], test: Mapping[str, Any]) -> dict[str, float]:
    """Return each protocol's mean score on tasks of training classes, less that on test tasks."""
    if not all(isinstance(numbers, dict) for numbers in train.values()):
        measure = next(iter(train))
        return {measure: train[measure] - test[measure]}
    return {
        protocol: next(iter(numbers.values())) - next(iter(test[protocol].values()))
        for protocol, numbers in train.items()
    }


def results(
    run: Run,
    learner: MetaLearner,
    source: TaskSource,
    *,
    steps: int,
    eval_seconds: float,
    test: dict[str, Any],
    train: dict[str, Any],
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
        **({"train_tasks": train, "gap": gap(train, test)} if train else {}),
        "adaptation": adaptation,
    }


def show(
    kind: TaskKind,
    record: Mapping[str, Any],
    diverged: int,
    folder: Path,
) -> None:
    """Print the closing table of a run: the final test, and the scores on the way to it.

    Args:
        kind: of the tasks; it writes the scores.
        record: what results.json holds.
        diverged: tasks of the final test.
        folder: the run folder.
    """
    curve = record["adaptation"]
    steps = [n for n in curve.get("steps", ()) if n in (0, 1, 5) or n == curve["steps"][-1]]
    table = Table(
        title=f"{record['steps']} outer iterations in {record['train_seconds']:.0f} s",
        box=box.SIMPLE,
        pad_edge=False,
    )
    for column in ("test", "mean ± 95%", "tasks", *map(str, steps)):  # in 80 characters
        table.add_column(column, no_wrap=True)
    for protocol, (name, text, tasks) in zip(
        kind.protocols, kind.rows(record["test"]), strict=True
    ):
        points = [kind.shown(curve[protocol][curve["steps"].index(n)]) for n in steps]
        table.add_row(
            name,
            text,
            f"{tasks}, {diverged} {kind.without_score}" if diverged else str(tasks),
            *points,
        )
    out = console()
    out.print(table, end="")
    if steps:
        counts = ", ".join(map(str, steps))
        out.print(f"{counts}: after so many inner steps, on the first {curve['tasks']} tasks")
    out.print(f"evaluated in {record['eval_seconds']:.0f} s; results in {folder}")
