"""What Weights & Biases is given of a final test: numbers, tables and a plot of results.json."""

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wandb

STEP = "trainer/global_step"  # the axis that Lightning's logger writes: iterations, counted from 0
COUNTS = ("ci95", "tasks", "diverged")  # beside the measure itself


def last_iteration(results: Mapping[str, Any]) -> int:
    """Return the iteration on the axis of the curves that the tested weights came out of."""
    return max(int(results["steps"]) - 1, 0)


def by_protocol(test: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the summary under each protocol; an only protocol is named by its measure."""
    return {measure_of(test): test} if "tasks" in test else dict(test)


def measure_of(summary: Mapping[str, Any]) -> str:
    """Name what a summary measures: "accuracy", "mse"."""
    return next(name for name in summary if name not in COUNTS)


def means(test: Mapping[str, Any]) -> dict[str, float]:
    """Return the mean and interval of the final test under each protocol, to be drawn and averaged."""
    found = {}
    for protocol, summary in by_protocol(test).items():
        found[f"test/{protocol}"] = summary[measure_of(summary)]
        found[f"test/{protocol}_ci95"] = summary["ci95"]
    return found


def test_table(results: Mapping[str, Any], named: Mapping[str, Any]) -> "wandb.Table":
    """Return the final table, a row a protocol; `named` says of which run, for tables of many runs."""
    import wandb

    columns = ["seed", "ways", "shots", "iterations", "protocol", "measure", "mean", *COUNTS]
    data, seed = results["config"]["data"], results["seed"]
    rows = [
        [
            *named.values(), seed, data["ways"], data["shots"], results["steps"], protocol,
            measure_of(summary), summary[measure_of(summary)],
            *(summary.get(name) for name in COUNTS),
        ]
        for protocol, summary in by_protocol(results["test"]).items()
    ]  # fmt: skip
    return wandb.Table(columns=[*named, *columns], data=rows)


def adaptation(curve: Mapping[str, Any]) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Return the adaptation curve as lines to log against the inner step, and as a table and a plot.

    Args:
        curve: {"steps": [0, 1, ...], "tasks": n, "ci95": ..., protocol: [mean, ...], ...}, or nothing.
    """
    import wandb

    if not curve:
        return [], {}
    names = [name for name in curve if name not in ("steps", "tasks", "ci95")]
    steps, columns = curve["steps"], [curve[name] for name in names]
    rows = [list(row) for row in zip(steps, *columns, strict=True)]
    lines = [
        {"adaptation/inner_step": step, **{f"adaptation/{n}": v for n, v in zip(names, row, strict=True)}}
        for step, *row in rows
    ]  # fmt: skip
    plot = wandb.plot.line_series(
        [list(steps)] * len(names),
        [[value if isfinite(value) else None for value in column] for column in columns],
        keys=names, title=f"adaptation to {curve['tasks']} test tasks", xname="inner step",
    )  # fmt: skip
    table = wandb.Table(columns=["inner_step", *names], data=rows)
    return lines, {"adaptation_table": table, "adaptation_plot": plot}
