"""Write docs/results/speed.md from what was kept of the benchmark, a section a kind of processor."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KEPT = Path("docs/results/speed")
PAGE = Path("docs/results/speed.md")
HEAD = """# Speed, measured

    make bench ARGS=--keep

writes this page. All ways are measured in one process in turns; ratios are of medians, shares of the
machine's limit, the rate of a product of two 1024 x 1024 matrices, of the best beside the best.
"Plain loop" is the obvious module with `torch.optim.Adam`. Such machines share their processors with
others: ratios hold to about 15%. Beside the newest table stands the one before it. What has no number was
not measured. What surrounds the inner loop, and memory, is in [overhead.md](overhead.md).
"""


def write_page() -> None:
    """Write the page."""
    sections = [HEAD]
    for path in sorted(KEPT.glob("*.json")):
        sections += section(path.stem, json.loads(path.read_text()))
    PAGE.write_text("\n".join(sections))


def section(kind: str, records: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a kind of processor: ratios beside their goals, then milliseconds."""
    yield f"## {kind}\n"
    for record, which in zip(records, ("Newest", "Before"), strict=False):
        yield (
            f"{which}: {record['date']}, commit {record['commit']}, {record['processor']},"
            f" {record['cores']} cores, load {record['load']:.1f}, torch {record['torch']}.\n"
        )
    before = {row["what"]: row for row in records[1]["rows"]} if len(records) > 1 else {}
    yield "| | goal | newest | before |\n|---|---|---|---|"
    for row in records[0]["rows"]:
        goal = number(row, row["goal"])
        sign = ("at most " if row["at_most"] else "at least ") if goal else ""
        yield (
            f"| {row['what']} | {sign}{goal} | {number(row, row['value'])} |"
            f" {number(row, before.get(row['what'], {}).get('value'))} |"
        )
    yield "\nMilliseconds (a step, a task, or a task's direction), newest:\n"
    yield "| | median | quartiles | best |\n|---|---|---|---|"
    for name, times in records[0]["milliseconds"].items():
        for way, (best, low, middle, high) in flat(times):
            yield f"| {name}: {way} | {middle:.2f} | {low:.2f}-{high:.2f} | {best:.2f} |"
    yield ""


def number(row: dict[str, Any], value: float | None) -> str:
    """Write a number of a row."""
    if value is None:
        return ""
    return f"{value:.0%}" if row["percent"] else f"{value:.2f}"


def flat(times: dict[str, Any]) -> Iterator[tuple[str, list[float]]]:
    """Yield each way with its times, also those of tables in a table."""
    for way, value in times.items():
        if isinstance(value, dict):
            word = "evaluation, " if way.startswith("evaluation") else ""
            yield from ((word + inner, each) for inner, each in value.items())
        elif isinstance(value, list):
            yield way, value
