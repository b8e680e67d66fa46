"""Tables 1 and 2, and the like of them for CIFAR-FS: the paper's cells with ours beside them."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from firstorder.results.paper import ROWS, SUFFIX, TABLES, published_cell
from firstorder.results.runs import Runs
from firstorder.results.statistics import error_of, joint_error
from firstorder.results.table import settings_that_count

NOT_RUN = "not run"
OURS = ["mean", "std", "pooled", "ci95", "tasks", "steps", "iterations", "train_seconds"]


def place(groups: pd.DataFrame, artefact: str, data: str) -> pd.DataFrame:
    """Return the groups of an artefact that were made on its data."""
    return groups[(groups["artefact"] == artefact) & (groups["data"] == data)]


def is_full(groups: pd.DataFrame) -> pd.Series:
    """Tell which groups were trained for as many outer iterations as the published setting."""
    return groups["steps"] >= groups["iterations"]


def cells(groups: pd.DataFrame, artefact: str, runs: Runs) -> pd.DataFrame:
    """Return a row a cell at full scale, published ones first; those that were not run have no mean.

    Columns: `algorithm` as the paper names it, `ways`, `shots`, `protocol`, `paper` and `paper_error`,
    ours of `firstorder.results.statistics.summarise`, `difference`, `joint_error` and `within` (it).
    """
    table = TABLES[artefact]
    placed = place(groups, artefact, table.data)
    placed = placed[is_full(placed)]
    rows = [row for column in table.columns for row in column_rows(placed, artefact, *column, runs)]
    other = placed[
        [pair not in table.columns for pair in zip(placed.ways, placed.shots, strict=True)]
    ]
    rows += [cell(artefact, group, runs, placed) for group in other.to_dict("records")]
    return pd.DataFrame(rows)


def reduced_cells(groups: pd.DataFrame, artefact: str, runs: Runs) -> pd.DataFrame:
    """Return the cells at a reduced scale, in the same columns, shortest training last."""
    placed = place(groups, artefact, TABLES[artefact].data)
    placed = placed[~is_full(placed)].sort_values(
        ["ways", "shots", "series", "protocol", "steps", "group"],
        ascending=[True, True, True, True, False, True],
    )
    return pd.DataFrame(
        [cell(artefact, group, runs, placed) for group in placed.to_dict("records")]
    )


def column_rows(
    placed: pd.DataFrame, artefact: str, ways: int, shots: int, runs: Runs
) -> Iterator[dict[str, Any]]:
    """Yield the rows of one column of a table: those of the paper, then others."""
    here = placed[(placed["ways"] == ways) & (placed["shots"] == shots)]
    pairs = sorted(set(zip(here["series"], here["protocol"], strict=True)) - set(ROWS))
    for series, protocol in (*ROWS, *pairs):
        ours = here[(here["series"] == series) & (here["protocol"] == protocol)]
        if ours.empty:
            empty = {"series": series, "protocol": protocol, "ways": ways, "shots": shots}
            yield cell(artefact, empty, runs, here)
        for group in ours.to_dict("records"):
            yield cell(artefact, group, runs, here)


def cell(
    artefact: str, group: Mapping[Any, Any], runs: Runs, among: pd.DataFrame
) -> dict[str, Any]:
    """Return one row: a group of runs, or nothing of ours, beside the paper's number."""
    series, protocol = str(group["series"]), str(group["protocol"])
    ways, shots = int(group["ways"]), int(group["shots"])
    paper, paper_error = published_cell(artefact, series, protocol, ways, shots) or (math.nan,) * 2
    ours = {name: group.get(name, math.nan) for name in OURS}
    difference = ours["mean"] - paper
    joint = joint_error(error_of(ours["std"], ours["ci95"]), paper_error)
    alike = among[
        (among["series"] == series) & (among["protocol"] == protocol)
        & (among["ways"] == ways) & (among["shots"] == shots)
    ]  # fmt: skip
    return {
        "algorithm": series + SUFFIX.get(protocol, f", {protocol}"),
        "ways": ways,
        "shots": shots,
        "protocol": protocol,
        "paper": paper,
        "paper_error": paper_error,
        "seeds": len(group.get("seeds", ())),
        **ours,
        "difference": difference,
        "joint_error": joint,
        "within": None if math.isnan(difference) else abs(difference) <= joint,
        "settings": unlike(group, alike, runs),
        "group": group.get("group", ""),
    }


def unlike(group: Mapping[Any, Any], alike: pd.DataFrame, runs: Runs) -> str:
    """Write the settings in which a group differs from others of its cell; empty for an only one."""
    if len(alike) < 2:
        return ""
    settings = [settings_that_count(runs[names[0]]) for names in alike["runs"]]
    own = settings_that_count(runs[group["runs"][0]])
    keys = [key for key in own if any(other.get(key) != own[key] for other in settings)]
    return ", ".join(f"{key}={own[key]}" for key in keys)
