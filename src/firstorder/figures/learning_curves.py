"""Learning curves with bands over seeds (Figure 3)."""

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firstorder.figures.style import RC, Look, look_of, panels

MARKS = 8  # markers along a curve, to tell it apart in print


@mpl.rc_context(RC)
def draw_learning_curves(
    table: pd.DataFrame, looks: Mapping[str, Look], titles: Mapping[str, str], axis: str
) -> Figure:
    """Draw accuracy against outer iterations, a panel a protocol.

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
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")
    return figure


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
