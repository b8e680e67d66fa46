"""How fast the curves of Figure 3 rise: means over the quarters of training, and what they differ by."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from firstorder.results.cells import NOT_RUN, place
from firstorder.results.curves import curves_of
from firstorder.results.findings import FIGURE3_CONTRASTS, by_place
from firstorder.results.page import Section
from firstorder.results.paper import COMBINATIONS, FIGURES
from firstorder.results.runs import Runs

Sum = tuple[str, Sequence[tuple[int, str]]]  # its name, and (weight, curve) of its terms
QUARTERS = ("1st", "2nd", "3rd", "4th")


def quarters_section(lines: pd.DataFrame) -> Section:
    """Show the lines of `quarters`, in percent, a table a scale."""
    section = Section("Figure 3: how fast the curves rise")
    section.text = [
        "Mean of the measurements while training, in percent, over each quarter of the outer iterations,"
        " and the differences that the findings of Section 6 are about, in points: means over the seeds"
        " that all their curves have, and behind ± the deviation over them."
    ]
    for steps, here in lines.groupby("steps", sort=False):
        caption = f"{steps:,} outer iterations"
        section.tables.append(
            (caption, pd.DataFrame([readable(row) for row in here.to_dict("records")]))
        )
    if lines.empty:
        section.text.append(f"{NOT_RUN.capitalize()}.")
    return section


def readable(row: Mapping[Any, Any]) -> dict[str, str]:
    """Write one line; differences have a sign."""
    sign = "" if row["curve"] in COMBINATIONS else "+"
    line = {
        "protocol": row["protocol"],
        "curve": row["curve"],
        "seeds": ", ".join(map(str, row["seeds"])),
    }
    for number, name in enumerate(QUARTERS, 1):
        std = row[f"{name}_std"]
        error = "" if math.isnan(std) else f" ± {100 * std:.1f}"
        line[f"to {number * row['steps'] // len(QUARTERS):,}"] = (
            f"{100 * row[name]:{sign}.1f}{error}"
        )
    return line


def quarters(groups: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return a line a curve, and a line a difference of curves, of Figure 3.

    Columns: `protocol`, `steps` (the scale), `curve` (its name, or a difference), `seeds` (those that
    all its terms have), and for each quarter its mean over seeds, "1st", and the deviation of the
    seeds, "1st_std" (NaN for one).
    """
    placed = place(groups, "figure3", FIGURES["figure3"].data)
    rows: list[dict] = []
    if len(placed):
        curves = curves_of(placed, runs)
        for protocol, steps, known in by_place(placed):
            measured = {
                name: by_seed(known[name, 0.0], curves, runs, protocol, steps)
                for name in FIGURES["figure3"].series if (name, 0.0) in known
            }  # fmt: skip
            sums: list[Sum] = [(name, ((1, name),)) for name in measured]
            sums += [(what, terms) for _, what, _, terms in FIGURE3_CONTRASTS]
            for name, values in combined(sums, measured):
                rows.append(
                    {"protocol": protocol, "steps": steps, "curve": name, **columns(values)}
                )
    names = [column for name in QUARTERS for column in (name, f"{name}_std")]
    return pd.DataFrame(rows, columns=["protocol", "steps", "curve", "seeds", *names])


def by_seed(
    names: Sequence[str], curves: Mapping[str, pd.DataFrame], runs: Runs, protocol: str, steps: int
) -> dict[int, NDArray[np.float64]]:
    """Return the four means of the runs that have measurements in each quarter, by seed."""
    found = {}
    for name in names:
        curve = curves[name][curves[name]["protocol"] == protocol]
        quarter = (len(QUARTERS) * curve["step"].astype(int) // steps).clip(upper=len(QUARTERS) - 1)
        means = curve["value"].groupby(quarter).mean()
        if len(means) == len(QUARTERS):
            found[runs[name].results["seed"]] = means.to_numpy(float)
    return found


def combined(
    sums: Sequence[Sum], measured: Mapping[str, Mapping[int, NDArray[np.float64]]]
) -> Iterator[tuple[str, dict[int, NDArray[np.float64]]]]:
    """Yield weighted sums of curves, for each seed that all of a sum's curves have."""
    for name, terms in sums:
        seeds = set.intersection(*(set(measured.get(curve, ())) for _, curve in terms))
        if seeds:
            values = {
                seed: np.sum([weight * measured[curve][seed] for weight, curve in terms], axis=0)
                for seed in sorted(seeds)
            }
            yield name, values


def columns(values: Mapping[int, NDArray[np.float64]]) -> dict[str, object]:
    """Return the columns of one line: seeds, means and deviations over them."""
    each = np.stack(list(values.values()))  # (seeds, 4)
    line: dict[str, object] = {"seeds": tuple(values)}
    for number, name in enumerate(QUARTERS):
        line[name] = float(each[:, number].mean())
        line[f"{name}_std"] = float(each[:, number].std(ddof=1)) if len(each) > 1 else np.nan
    return line
