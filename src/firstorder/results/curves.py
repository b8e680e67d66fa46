"""Learning curves: accuracy against outer iterations, from metrics.csv."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from firstorder.results.runs import RunRecord, Runs
from firstorder.results.statistics import smooth

PREFIXES = ("test_tasks", "val", "train_tasks")  # the paper's choice of tasks first
POINTS = 200  # of a smoothed curve


def read_curve(run: RunRecord) -> pd.DataFrame:
    """Return (step, prefix, protocol, value) of what was measured while a run trained.

    A column of metrics.csv is a curve where it is called "<prefix>/<protocol>" for a protocol of the
    final test, and has two values or more.
    """
    columns, metrics = ["step", "prefix", "protocol", "value"], run.metrics
    parts = []
    for column in metrics.columns:
        prefix, _, protocol = column.partition("/")
        values = metrics[["step", column]].dropna()
        if protocol in run.test and len(values) > 1:
            parts.append(
                pd.DataFrame(
                    {
                        "step": values["step"],
                        "prefix": prefix,
                        "protocol": protocol,
                        "value": values[column],
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def curves_of(groups: pd.DataFrame, runs: Runs) -> dict[str, pd.DataFrame]:
    """Return each run's curve on the one kind of tasks that most of them were followed on."""
    by_run = {name: read_curve(runs[name]) for names in groups["runs"] for name in names}
    prefix = choose_prefix(by_run.values())
    return {name: curve[curve["prefix"] == prefix] for name, curve in sorted(by_run.items())}


def choose_prefix(curves: Iterable[pd.DataFrame]) -> str:
    """Return the prefix that most curves have; of several, the first in `PREFIXES`."""
    counts: dict[str, int] = {}
    for curve in curves:
        for prefix in sorted(set(curve["prefix"])):
            counts[prefix] = counts.get(prefix, 0) + 1
    known = [*PREFIXES, *sorted(set(counts) - set(PREFIXES))]
    return max(known, key=lambda name: counts.get(name, 0))


def learning_curves(groups: pd.DataFrame, runs: Runs, smoothing: float) -> pd.DataFrame:
    """Return smoothed curves: series, group, protocol, step, mean, std over seeds (NaN for one), prefix.

    Args:
        groups: of `firstorder.results.statistics.summarise`, of one figure and scale.
        runs: by name.
        smoothing: width of the moving average, as a share of the curve.
    """
    curves, parts = curves_of(groups, runs), []
    for group in groups.sort_values(["series", "protocol", "group"]).to_dict("records"):
        own = [curves[name] for name in group["runs"]]
        own = [c[c["protocol"] == group["protocol"]] for c in own]
        own = [c for c in own if len(c)]
        if not own:
            continue
        steps = np.concatenate([c["step"].to_numpy(float) for c in own])
        at = np.linspace(steps.min(), steps.max(), POINTS)
        width = max(smoothing * float(np.ptp(steps)), widest_gap(own))
        each = np.stack(
            [smooth(c["step"].to_numpy(float), c["value"].to_numpy(float), at, width) for c in own]
        )
        deviation = each.std(axis=0, ddof=1) if len(own) > 1 else np.full(POINTS, np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "series": group["series"],
                    "group": group["group"],
                    "protocol": group["protocol"],
                    "step": at,
                    "mean": each.mean(axis=0),
                    "std": deviation,
                    "width": width,
                    "prefix": own[0]["prefix"].iloc[0],
                }
            )
        )
    columns = ["series", "group", "protocol", "step", "mean", "std", "width", "prefix"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def widest_gap(curves: Iterable[pd.DataFrame]) -> float:
    """Return twice the widest gap between two measurements: a window of that width is never empty."""
    return 2 * max(float(np.diff(np.sort(c["step"].to_numpy(float))).max()) for c in curves)
