"""Numbers as the report writes them."""

import math
from typing import Any

import pandas as pd

from firstorder.results.cells import NOT_RUN


def percent(mean: float, error: float = math.nan) -> str:
    """Write an accuracy in percent, with its error where it is known."""
    if math.isnan(mean):
        return "-"
    return f"{100 * mean:.2f}" + ("" if math.isnan(error) else f" ± {100 * error:.2f}")


def score(mean: float, error: float, measure: str) -> str:
    """Write a score: accuracies in percent, errors as they are."""
    if measure == "accuracy":
        return f"{percent(mean, error)}%"
    return f"{mean:.3f}" + ("" if math.isnan(error) else f" ± {error:.3f}")


def duration(seconds: float | None) -> str:
    """Write a time in the unit that suits it."""
    if seconds is None or math.isnan(seconds):
        return "-"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def steps_of(row: Any) -> str:
    """Write how long a group trained, beside the full scale where it is less."""
    steps, full = int(row["steps"]), int(row["iterations"])
    return f"{steps:,}" if steps >= full else f"{steps:,} of {full:,}"


def overview(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the table in the paper's shape: algorithms down, tasks across, ours then the paper's."""
    rows: dict[str, dict[str, str]] = {}
    for row in cells.to_dict("records"):
        column = f"{row['shots']}-shot {row['ways']}-way"
        ours = NOT_RUN if math.isnan(row["mean"]) else f"**{percent(row['mean'], row['std'])}**"
        theirs = "" if math.isnan(row["paper"]) else percent(row["paper"], row["paper_error"])
        text = f"{ours} ({theirs})" if theirs else ours
        line = rows.setdefault(row["algorithm"], {})
        line[column] = f"{line[column]}; {text}" if column in line else text
    frame = pd.DataFrame.from_dict(rows, orient="index").fillna(NOT_RUN)
    return frame.rename_axis("algorithm").reset_index()


def in_detail(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a line a cell that was run or is in the paper, to read."""
    rows = []
    for row in cells.to_dict("records"):
        run = not math.isnan(row["mean"])
        within = "-" if pd.isna(row["within"]) else "yes" if row["within"] else "**no**"
        rows.append({
            "task": f"{row['shots']}-shot {row['ways']}-way",
            "algorithm": row["algorithm"],
            "paper": percent(row["paper"], row["paper_error"]),
            "ours: mean ± deviation over seeds": percent(row["mean"], row["std"]) if run else NOT_RUN,
            "seeds": str(row["seeds"]) if run else "-",
            "± 95% over tasks": percent(row["pooled"], row["ci95"]),
            "tasks": f"{row['tasks']:,.0f}" if run else "-",
            "difference": f"{100 * row['difference']:+.2f}" if pd.notna(row["within"]) else "-",
            "joint error": percent(row["joint_error"]),
            "within it": within,
            "iterations": steps_of(row) if run else "-",
            "training": duration(row["train_seconds"]),
            "settings": row["settings"] or "-",
        })  # fmt: skip
    return pd.DataFrame(rows)


def in_short(groups: pd.DataFrame) -> pd.DataFrame:
    """Return a line a group of runs, whatever it measured, to read."""
    rows = [
        {
            "label": f"{row['artefact']}: {row['series']}" if pd.notna(row["artefact"]) else "-",
            "data": row["data"],
            "task": f"{row['shots']}-shot {row['ways']}-way",
            "score": row["protocol"],
            "mean ± deviation over seeds": score(row["mean"], row["std"], row["measure"]),
            "seeds": ", ".join(map(str, row["seeds"])),
            "pooled ± 95% over tasks": score(row["pooled"], row["ci95"], row["measure"]),
            "tasks": f"{row['tasks']:,}",
            "iterations": steps_of(row),
            "settings": row["group"],
        }
        for row in groups.to_dict("records")
    ]
    return pd.DataFrame(rows)


def side_by_side(groups: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """Return a line a group of runs with the settings that tell it apart and all its scores, to read.

    Args:
        groups: of `firstorder.results.statistics.summarise`.
        told: of `firstorder.results.table.told_apart`.
    """
    lines: dict[str, dict[str, str]] = {}
    for row in groups.to_dict("records"):
        line = lines.setdefault(row["group"], {
            "data": row["data"],
            "task": f"{row['shots']}-shot {row['ways']}-way",
            **told.loc[row["group"]],
            "tasks": f"{row['tasks']:,}",
            "seeds": ", ".join(map(str, row["seeds"])),
            "iterations": steps_of(row),
            "training": duration(row["train_seconds"]),
            "settings": row["group"],
        })  # fmt: skip
        name, measure = row["protocol"].replace("_", "-"), row["measure"]
        line[f"{name} ± 95% over tasks"] = score(row["pooled"], row["ci95"], measure)
        if len(row["seeds"]) > 1:
            line[f"{name} ± deviation over seeds"] = score(row["mean"], row["std"], measure)
        if pd.notna(row["gap"]):
            line[f"{name} on training tasks"] = score(row["mean"] + row["gap"], math.nan, measure)
    frame = pd.DataFrame(lines.values()).fillna("-")
    last = ["tasks", "seeds", "iterations", "training", "settings"]
    return frame[[*(name for name in frame if name not in last), *last]]
