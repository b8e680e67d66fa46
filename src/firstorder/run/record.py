"""What a run leaves behind: results.json, and its statistics."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor

SCHEMA = 1
PACKAGES = ("firstorder", "torch", "lightning", "hydra-core", "numpy")


def summary(kind: str, scores: dict[str, Tensor]) -> dict[str, Any]:
    """Return mean and interval of each protocol's scores, (tasks,) each, as results.json holds them."""
    if kind == "regression":
        return interval("mse", scores["mse"])
    return {protocol: interval("accuracy", values) for protocol, values in scores.items()}


def interval(name: str, values: Tensor) -> dict[str, float]:
    """Return the mean over tasks and its 95% interval, 1.96 standard errors (0 for a single task)."""
    values = values.double().cpu()
    deviation = values.std().item() if len(values) > 1 else 0.0
    return {
        name: values.mean().item(),
        "ci95": 1.96 * deviation / len(values) ** 0.5,
        "tasks": len(values),
    }


def versions() -> dict[str, str]:
    """Return the versions that a number may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results.json whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"schema": SCHEMA, **results}, indent=2) + "\n")
    draft.replace(path)


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
        table.add_row(*row, str(numbers["tasks"]))
    console = Console(soft_wrap=True)
    console.print(table, end="")
    console.print(f"evaluated in {eval_seconds:.0f} s; results in {folder}")
