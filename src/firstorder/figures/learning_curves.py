"""Learning curves with bands over seeds (Figure 3)."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from firstorder.figures.style import RC, Look, look_of, panels

MARKS = 8  # markers along a curve, to tell it apart in print
TICKS = (10, 30, 50, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9)  # percent
LEAST_ERROR = 0.05  # percent: an accuracy of 100 % is drawn here, on a scale that has no end


@mpl.rc_context(RC)
def draw_learning_curves(
    table: pd.DataFrame, looks: Mapping[str, Look], titles: Mapping[str, str], axis: str
) -> Figure:
    """Draw accuracy against outer iterations, a panel a protocol, logarithmic in the error.

    Equal heights are equal ratios of the error, so that curves near 100 % can be told apart beside one
    that learns nothing.

    Args:
        table: of curves, with columns series, group, protocol, step, mean and std (NaN for one seed).
        looks: of the series, in the order of the legend; each group of one series is drawn alike.
        titles: of the protocols, in the order of the panels.
        axis: label of the horizontal axis.
    """
    protocols = [name for name in titles if name in set(table["protocol"])]
    figure, places = panels(len(protocols), 4.6, 4.4)
    for axes, protocol in zip(places, protocols, strict=True):
        here = table[table["protocol"] == protocol]
        for place, (name, look) in enumerate(looks.items()):
            own = here[here["series"] == name]
            for number, (_, curve) in enumerate(own.groupby("group")):
                draw_curve(axes, curve, look, None if number else name, place / len(looks))
        axes.set(title=titles[protocol], xlabel=axis)
    places[0].set_ylabel("accuracy, %")
    # The panels share their vertical axis.
    places[0].set_yscale("function", functions=(log_error, accuracy))
    places[0].yaxis.set(
        major_locator=FixedLocator(TICKS),
        minor_locator=NullLocator(),
        major_formatter=StrMethodFormatter("{x:g}"),
    )
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


def log_error(percent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the height of an accuracy: the logarithm of the error, downwards."""
    return -np.log10(np.maximum(100 - percent, LEAST_ERROR))


def accuracy(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the accuracy at a height, in percent."""
    return 100 - 10.0**-height


def draw_curve(
    axes: Axes, curve: pd.DataFrame, look: Look, label: str | None, offset: float
) -> None:
    """Draw one curve and its band; its markers start at `offset`, a share of their distance."""
    style, every = look_of(look), max(len(curve) // MARKS, 1)
    mean, std = 100 * curve["mean"], 100 * curve["std"]
    axes.plot(
        curve["step"], mean, label=label, linewidth=1.4, markersize=4,
        markevery=(int(offset * every), every), **style,
    )  # fmt: skip
    if std.notna().any():
        axes.fill_between(
            curve["step"], mean - std, mean + std, color=style["color"], alpha=0.15, linewidth=0
        )
