"""Statistics over seeds and over tasks. Nothing here draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import bootstrap

from firstorder.results.runs import RunRecord, Runs
from firstorder.results.table import test_tasks_of

Z95 = 1.96
RESAMPLES = 2000
Series = Sequence[tuple[RunRecord, str]]  # runs, one a seed, and the protocol they are taken under
PLACE = ["artefact", "series", "x", "data", "ways", "shots", "iterations", "steps", "measure"]


@dataclass(frozen=True)
class Difference:
    """The mean difference of scores on the same test tasks.

    Attributes:
        mean: of the differences.
        low, high: its 95% bootstrap interval over tasks.
        tasks: how many tasks all were tested on, all seeds together.
        seeds: those that all have.
    """

    mean: float
    low: float
    high: float
    tasks: int
    seeds: tuple[int, ...]


def over_tasks(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of tasks' scores and its 95% interval, 1.96 standard errors (0 for one task)."""
    if len(scores) < 2:
        return float(scores.mean()), 0.0
    with np.errstate(invalid="ignore"):  # an infinite error has no deviation
        return float(scores.mean()), float(Z95 * scores.std(ddof=1) / math.sqrt(len(scores)))


def summarise(table: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return a row for each group of runs that differ in the seed alone, and protocol.

    Columns: `mean` and `std` are over the seeds' scores (`std` is NaN for one seed), `pooled` and
    `ci95` over all their test tasks together.

    Args:
        table: of `firstorder.results.table.tidy`; its repeats are not counted.
        runs: the runs by name, for the scores of their tasks.
    """
    columns = ["group", "protocol", *PLACE, "seeds", "mean", "std", "pooled", "ci95", "tasks"]
    columns += ["gap", "train_seconds", "runs"]
    if table.empty:
        return pd.DataFrame(columns=columns)
    rows, counted = [], table[~table["repeat"]]
    for (group, protocol), members in counted.groupby(["group", "protocol"], sort=True):
        members = members.sort_values("seed")
        scores = np.concatenate([runs[name].scores[protocol].to_numpy() for name in members["run"]])
        pooled, ci95 = over_tasks(scores)
        rows.append({
            "group": group,
            "protocol": protocol,
            **{name: members[name].iloc[0] for name in PLACE},
            "seeds": tuple(members["seed"].tolist()),
            "mean": float(members["score"].mean()),
            "std": float(members["score"].std(ddof=1)),
            "pooled": pooled,
            "ci95": ci95,
            "tasks": len(scores),
            "gap": members["gap"].astype(float).mean(),
            "train_seconds": members["train_seconds"].mean(),
            "runs": tuple(members["run"]),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def error_of(std: float, ci95: float) -> float:
    """Return the error of a mean of ours: the deviation over seeds, and no less than the tasks' interval.

    Two or three seeds tell a deviation badly, one not at all; the tasks alone give at least `ci95`.
    """
    return ci95 if math.isnan(std) else max(std, ci95)


def joint_error(ours: float, theirs: float) -> float:
    """Return the error of a difference of two independent means."""
    return math.hypot(ours, theirs)


def paired_difference(first: Series, second: Series) -> Difference:
    """Return the difference, first minus second, of two groups of runs on their common test tasks.

    Raises:
        ValueError: they have none.
    """
    return paired_contrast([(1.0, first), (-1.0, second)])


def paired_contrast(terms: Sequence[tuple[float, Series]]) -> Difference:
    """Return the mean of a weighted sum of scores, task by task, over the test tasks of all terms.

    Args:
        terms: (weight, a group of runs that differ in the seed). Runs of different groups that have the
            same test tasks belong together; runs without a partner in each group are not counted.

    Raises:
        ValueError: no task is common to all terms.
    """
    groups = [
        (weight, {test_tasks_of(r): (r, name) for r, name in group}) for weight, group in terms
    ]
    common = set.intersection(*(set(group) for _, group in groups))
    by_seed = {groups[0][1][key][0].results["seed"]: key for key in common}
    values = []
    for _, key in sorted(by_seed.items()):
        scores = [weight * runs[key][0].scores[runs[key][1]] for weight, runs in groups]
        values.append(pd.concat(scores, axis=1, join="inner").sum(axis=1).to_numpy())
    if not sum(map(len, values)):
        raise ValueError(
            "the runs have no test tasks in common: give them the same data, ways, shots and seed"
        )
    each = np.concatenate(values)
    low, high = bootstrap_interval(each)
    return Difference(float(each.mean()), low, high, len(each), tuple(sorted(by_seed)))


def bootstrap_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of a mean, the same at every call."""
    if len(values) < 2:
        return float(values[0]), float(values[0])
    members = bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, batch=100, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(members.low), float(members.high)


def smooth(
    steps: NDArray[np.float64],
    values: NDArray[np.float64],
    at: NDArray[np.float64],
    width: float,
) -> NDArray[np.float64]:
    """Return the mean of the values within half a width of each place; NaN where there are none.

    Args:
        steps, values: the curve, (n,) each.
        at: places to smooth it at, (m,).
        width: of the window, in steps. At the ends it reaches over what is there.
    """
    order = np.argsort(steps, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(values[order])])
    first = np.searchsorted(steps[order], at - width / 2, side="left")
    last = np.searchsorted(steps[order], at + width / 2, side="right")
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[last] - sums[first]) / (last - first)
