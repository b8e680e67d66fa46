"""What a run leaves behind: results.json, and its statistics."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

SCHEMA = 1
PACKAGES = ("firstorder", "torch", "lightning", "hydra-core", "numpy")


def versions() -> dict[str, str]:
    """Return the versions that a number may depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results.json whole or not at all."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"schema": SCHEMA, **results}, indent=2) + "\n")
    draft.replace(path)


def show(
    rows: list[tuple[str, str, int]],
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
        table.add_row(name, text, str(tasks))
    console = Console(soft_wrap=True)
    console.print(table, end="")
    console.print(f"evaluated in {eval_seconds:.0f} s; results in {folder}")
