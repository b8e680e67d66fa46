"""The runs of a sweep that differ in their seed alone, averaged."""

from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.table import Table

from firstorder.messages import console


def show_seeds(folders: Iterable[Path]) -> None:
    """Print mean and deviation over seeds; nothing where no run has another seed beside it.

    Args:
        folders: the run folders of a sweep.
    """
    done = [folder for folder in folders if (folder / "results.json").exists()]
    if len(done) < 2:
        return
    from firstorder.results.runs import find_runs  # pandas is slow to load
    from firstorder.results.statistics import summarise
    from firstorder.results.table import tidy, told_apart

    runs = {run.name: run for run in find_runs(done, include_dirty=True, include_failed=True).runs}
    table = tidy([*runs.values()])
    groups = summarise(table, runs)
    if groups["seeds"].map(len).max() < 2:
        return
    told = told_apart(table)
    shown = Table(title="mean and standard deviation over seeds", box=box.SIMPLE)
    for name in told:
        shown.add_column(name, overflow="fold")
    for name in ("test", "mean ± deviation", "seeds"):
        shown.add_column(name, no_wrap=True)
    for row in groups.to_dict("records"):
        is_share = row["measure"] == "accuracy"
        scale, digits, unit = (100, 2, " %") if is_share else (1, 4, "")
        mean, deviation = (f"{scale * row[name]:.{digits}f}" for name in ("mean", "std"))
        if len(row["seeds"]) < 2:
            deviation = "?"
        seeds = ", ".join(map(str, row["seeds"]))
        protocol = row["protocol"].replace("_", "-")
        shown.add_row(*told.loc[row["group"]], protocol, f"{mean} ± {deviation}{unit}", seeds)
    console().print(shown)
