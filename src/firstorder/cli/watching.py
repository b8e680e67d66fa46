"""The table of runs that `python src/status.py` prints, once, as JSON, or again and again."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich import box
from rich.live import Live
from rich.table import Table
from rich.text import Text

from firstorder.messages import console
from firstorder.results.status import ORDER, RunStatus, find_statuses

COLOURS = {
    "running": "green", "stalled": "bold yellow", "failed": "bold red", "interrupted": "yellow",
}  # fmt: skip


def main() -> None:
    """List the runs at and below some folders."""
    parser = argparse.ArgumentParser(description="List runs: running, stalled, failed, finished.")
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("outputs")])
    parser.add_argument("--json", action="store_true", help="write a JSON list, for scripts")
    parser.add_argument(
        "--watch", nargs="?", type=float, const=2.0, metavar="SECONDS", help="look again and again"
    )
    options = parser.parse_args()
    try:
        if options.watch is not None:
            watch(options.folders, max(0.1, options.watch))
        elif options.json:
            found = [status.as_dict() for status in find_statuses(options.folders)]
            print(json.dumps(found, indent=1))
        else:
            console().print(table_of(find_statuses(options.folders)))
    except ValueError as error:
        sys.exit(f"error: {error}")
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


def watch(folders: Sequence[Path], seconds: float) -> None:
    """Show the table until Ctrl-C."""
    with Live(table_of(find_statuses(folders)), auto_refresh=False, screen=True) as live:
        while True:
            live.update(table_of(find_statuses(folders)), refresh=True)
            time.sleep(seconds)


def table_of(found: Sequence[RunStatus]) -> Table:
    """Return a row a run, and how many there are of each kind above them."""
    counts = Counter(status.state for status in found)
    title = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    table = Table(title=title or "no runs", box=box.SIMPLE)
    for name in ("run", "state", "iterations", "a second", "ends", ""):
        table.add_column(name, overflow="fold", justify="right" if name == "a second" else "left")
    for status in found:
        done = f"{status.iteration:,} of {status.max_steps:,}" if status.max_steps else ""
        table.add_row(
            Text(status.run),
            Text(status.state, COLOURS.get(status.state, "")),
            done,
            "" if status.rate is None else f"{status.rate:.3g}",
            local(status.expected_end),
            Text(status.error or silence(status)),
        )
    return table


def local(moment: str | None) -> str:
    """Write a time as the clock here shows it; the day too, unless it is today."""
    if moment is None:
        return ""
    here = datetime.fromisoformat(moment).astimezone()
    is_today = here.date() == datetime.now().astimezone().date()
    return here.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")


def silence(status: RunStatus) -> str:
    """Say for how long a stalled run has been silent."""
    if status.state != "stalled" or status.silent is None:
        return ""
    minutes = status.silent / 60
    return f"no sign of life for {minutes / 60:.1f} h" if minutes > 90 else (
        f"no sign of life for {minutes:.0f} min"
    )  # fmt: skip
