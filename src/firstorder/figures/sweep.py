"""Final accuracy against one hyper-parameter, with deviations over seeds (Figures 4a, 4b, 4c)."""

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from firstorder.figures.style import RC, Look, look_of, panels


@mpl.rc_context(RC)
def draw_sweep(
    table: pd.DataFrame,
    looks: Mapping[str, Look],
    titles: Mapping[str, str],
    axis: str,
    *,
    logarithmic: bool = False,
    bend: float | None = None,
) -> Figure:
    """Draw accuracy against a hyper-parameter, a curve a method, a panel a protocol.

    Args:
        table: of points, with columns series, group, protocol, x, mean and error (NaN for none).
        looks: of the methods, in the order of the legend.
        titles: of the protocols, in the order of the panels.
        axis: label of the horizontal axis.
        logarithmic: whether that axis is.
        bend: where to draw a vertical line.
    """
    protocols = [name for name in titles if name in set(table["protocol"])]
    figure, places = panels(len(protocols), 4.2, 3.6)
    for axes, protocol in zip(places, protocols, strict=True):
        here = table[table["protocol"] == protocol]
        if bend is not None:
            axes.axvline(bend, color="0.6", linewidth=1)
        for name, look in looks.items():
            points = here[here["series"] == name].sort_values(["x", "group"])
            if points.empty:
                continue
            axes.errorbar(
                points["x"], 100 * points["mean"], yerr=100 * points["error"].fillna(0), label=name,
                linewidth=1.4, markersize=5, capsize=2.5, **look_of(look),
            )  # fmt: skip
        if logarithmic:
            axes.set_xscale("log")
        else:  # iterations or images: halves of them are none
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        axes.set(title=titles[protocol], xlabel=axis)
    places[0].set_ylabel("accuracy, %")
    handles, labels = places[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
