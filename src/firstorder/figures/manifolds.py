"""Iterates between two manifolds of solutions (Figure 2)."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from firstorder.analysis.manifolds import Manifolds

COLORS = ("tab:blue", "tab:orange")  # of the two tasks
SHOWN = 40  # iterations whose inner loops are drawn; later ones lie over them
TITLES = {
    "reptile": "Reptile: the point near both manifolds",
    "joint": "Joint training: the point of least expected loss",
}


def draw_manifolds(study: Manifolds, table: pd.DataFrame) -> Figure:
    """Draw each algorithm's iterates and inner loops between the circles that solve the tasks."""
    names = list(dict.fromkeys(table.algorithm))
    figure = Figure(figsize=(6.2 * len(names), 5.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        draw_circles(axes, study)
        draw_path(axes, table[table.algorithm == name])
        axes.set_title(TITLES.get(name, name))
        axes.set(xlim=(-3.6, 2.4), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_color("0.8")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def draw_circles(axes: Axes, study: Manifolds) -> None:
    """Draw the solutions of both tasks and the points that theory knows."""
    places = [(0.9, 1.75), (1.5, -1.75)]
    for number, (circle, color, place) in enumerate(
        zip(study.circles, COLORS, places, strict=True), 1
    ):
        axes.add_patch(Circle(circle[:2], circle[2], fill=False, color=color, linewidth=2.5))
        axes.annotate(rf"$W_{number}$", place, color=color, fontsize=18)
    x, y = study.least_distance
    axes.plot(
        x, y, "*", color="black", markersize=15, label="least mean squared distance", zorder=3
    )
    x, y = study.least_loss
    axes.plot(x, y, "P", color="0.45", markersize=10, label="least expected loss", zorder=3)


def draw_path(axes: Axes, table: pd.DataFrame) -> None:
    """Draw phi's path, and in each task's colour the inner loops that pulled it."""
    for (_, task), found in table[table.iteration < SHOWN].groupby(["iteration", "task"]):
        axes.plot(
            found.x, found.y, ".-", color=COLORS[task], markersize=3, linewidth=0.7, alpha=0.45
        )
    outer = table[table.inner == 0]
    axes.plot(outer.x, outer.y, "o-", color="black", markersize=3, linewidth=1, label=r"$\phi$")
    first, last = outer.iloc[0], outer.iloc[-1]
    axes.annotate(
        "start", (first.x, first.y), xytext=(0, -14), textcoords="offset points", ha="center"
    )
    axes.plot(last.x, last.y, "o", color="tab:red", markersize=6, label=r"last $\phi$", zorder=4)
