"""Paired comparisons: two groups of runs on the same test tasks."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pandas as pd

from firstorder.results.cells import place
from firstorder.results.paper import SUFFIX, TABLES
from firstorder.results.runs import RunRecord, Runs
from firstorder.results.statistics import paired_difference

COLUMNS = [
    "artefact", "ways", "shots", "steps", "first", "second", "measure", "mean", "low", "high",
    "tasks", "seeds",
]  # fmt: skip


def table_comparisons(groups: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return the differences between any two rows of a table's column that share test tasks.

    Rows are compared at the same number of outer iterations only.
    """
    rows: list[dict[str, Any]] = []
    for artefact, layout in TABLES.items():
        placed = place(groups, artefact, layout.data)
        for (ways, shots, steps), here in placed.groupby(["ways", "shots", "steps"]):
            where = {"artefact": artefact, "ways": ways, "shots": shots, "steps": steps}
            rows += [{**where, **difference} for difference in differences(here, runs)]
    return pd.DataFrame(rows, columns=COLUMNS)


def differences(here: pd.DataFrame, runs: Runs) -> Iterator[dict[str, Any]]:
    """Yield what any two groups differ by, in protocols or in series but not in both."""
    ordered = here.sort_values(["series", "protocol", "group"]).to_dict("records")
    several = here.duplicated(["series", "protocol"], keep=False).any()
    for one, other in combinations(ordered, 2):
        if (one["series"] != other["series"]) + (one["protocol"] != other["protocol"]) > 1:
            continue
        pairs = [
            [(runs[name], str(group["protocol"])) for name in group["runs"]]
            for group in (one, other)
        ]
        first, second = (
            group["series"]
            + SUFFIX.get(group["protocol"], "")
            + (f" [{group['group']}]" if several else "")
            for group in (one, other)
        )
        yield from difference_row(first, second, one["measure"], *pairs)


def difference_row(
    first: str,
    second: str,
    measure: str,
    ours: list[tuple[RunRecord, str]],
    theirs: list[tuple[RunRecord, str]],
) -> Iterator[dict[str, Any]]:
    """Yield the line of one comparison; nothing where the runs share no test tasks."""
    try:
        difference = paired_difference(ours, theirs)
    except ValueError:
        return
    seeds = ", ".join(map(str, difference.seeds))
    yield {
        "first": first, "second": second, "measure": measure, "mean": difference.mean,
        "low": difference.low, "high": difference.high, "tasks": difference.tasks, "seeds": seeds,
    }  # fmt: skip


def compare_runs(first: RunRecord, second: RunRecord) -> pd.DataFrame:
    """Return the difference of two runs on the same test tasks, a row a protocol of both.

    Raises:
        ValueError: they have no test tasks, or no protocol, in common.
    """
    protocols = [name for name in first.test if name in second.test]
    if not protocols:
        raise ValueError(f"compare: {first.name} and {second.name} have no protocol in common")
    rows = []
    for protocol in protocols:
        difference = paired_difference([(first, protocol)], [(second, protocol)])
        rows.append({
            "first": first.name, "second": second.name, "protocol": protocol,
            "mean": difference.mean, "low": difference.low, "high": difference.high,
            "tasks": difference.tasks,
        })  # fmt: skip
    return pd.DataFrame(rows)
