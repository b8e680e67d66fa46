"""What each hyper-parameter of a search did to the score (Appendix A)."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from firstorder.figures.style import COLORS, RC

COLUMNS = 3  # of panels
NOISE = "noise"


@mpl.rc_context(RC)
def draw_importances(table: pd.DataFrame) -> Figure:
    """Draw importances as bars, then a panel a hyper-parameter with the score of each trial.

    Args:
        table: with columns kind, parameter, number, value, score and axis, as the analysis measures it.
    """
    shares = table[table["kind"] == "importance"].groupby("parameter")["value"]
    mean, deviation = shares.mean().sort_values(), shares.std(ddof=0)
    trials = table[table["kind"] == "trial"]
    names = [name for name in mean.index[::-1] if name != NOISE]
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(11, max(3.2, 1.9 * rows)), layout="constrained")
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(2, 3)))

    bars = left.subplots()
    colors = ["0.65" if name == NOISE else COLORS[1] for name in mean.index]
    bars.barh(list(mean.index), mean, xerr=deviation[mean.index], color=colors, capsize=2.5)
    bars.set_axisbelow(True)
    bars.axvline(mean.get(NOISE, 0.0), color="0.4", linestyle="--", linewidth=1)
    bars.set(
        title=f"{trials['number'].nunique()} trials", xlim=(0, None),
        xlabel="importance (mean and deviation over forests;\ndashed: of a column of noise)",
    )  # fmt: skip

    panels = right.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        here = trials[trials["parameter"] == name]
        axes.plot(here["value"], here["score"], "o", color=COLORS[0], markersize=3, alpha=0.7)
        axes.set_xlabel(name)
        if here["axis"].iloc[0] == "log":
            number_decades(axes, here["value"].max() / here["value"].min())
    for axes in panels.flat[len(names) :]:
        axes.remove()
    right.supylabel("score on the validation split", fontsize=9)
    return figure


def number_decades(axes: Axes, ratio: float) -> None:
    """Give a panel a logarithmic axis with few plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if ratio > 50 else (1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
