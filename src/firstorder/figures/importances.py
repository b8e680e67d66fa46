"""What each hyper-parameter of a search did to the score (Appendix A)."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

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
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))

    bars = left.subplots()
    colors = ["0.65" if name == NOISE else COLORS[1] for name in mean.index]
    bars.barh(list(mean.index), mean, xerr=deviation[mean.index], color=colors, capsize=2.5)
    bars.axvline(mean.get(NOISE, 0.0), color="0.4", linestyle="--", linewidth=1)
    bars.set(
        title=f"{trials['number'].nunique()} trials", xlim=(0, None),
        xlabel="importance (mean and deviation over forests;\ndashed: of a column of noise)",
    )  # fmt: skip

    panels = right.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        here = trials[trials["parameter"] == name]
        axes.plot(here["value"], here["score"], "o", color=COLORS[0], markersize=3, alpha=0.7)
        axes.set(xscale=here["axis"].iloc[0], xlabel=name)
    for axes in panels.flat[len(names) :]:
        axes.remove()
    right.supylabel("score on the validation split", fontsize=9)
    return figure
