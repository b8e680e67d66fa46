"""Iterates between two manifolds of solutions (Figure 2)."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle as CirclePatch

Circle = tuple[float, float, float]  # centre x, centre y, radius
COLORS = ("tab:blue", "tab:orange")  # of the two tasks
MARKERS = (("*", "black", 15), ("P", "0.45", 10))  # of the points that theory knows
SHOWN = 40  # iterations whose inner loops are drawn; later ones lie over them
TITLES = {
    "reptile": "Reptile: the point near both manifolds",
    "joint": "Joint training: the point of least expected loss",
}


def draw_manifolds(
    table: pd.DataFrame, circles: Sequence[Circle], points: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw each algorithm's iterates and inner loops between the circles that solve the tasks.

    Args:
        table: a row for each point, as `firstorder.analysis.manifolds` measures them.
        circles: (x, y, radius) of each task's solutions.
        points: (x, y) of "least mean squared distance" and of "least expected loss".
    """
    names = list(dict.fromkeys(table.algorithm))
    figure = Figure(figsize=(6.2 * len(names), 5.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        draw_circles(axes, circles, points)
        draw_path(axes, table[table.algorithm == name])
        axes.set_title(TITLES.get(name, name))
        axes.set(xlim=(-3.6, 2.4), ylim=(-2.6, 2.6), xticks=[], yticks=[], aspect="equal")
        axes.spines[:].set_color("0.8")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def draw_circles(
    axes: Axes, circles: Sequence[Circle], points: Mapping[str, Sequence[float]]
) -> None:
    """Draw the solutions of both tasks and the points that theory knows."""
    places = [(0.9, 1.75), (1.5, -1.75)]
    for number, (circle, color, place) in enumerate(zip(circles, COLORS, places, strict=True), 1):
        axes.add_patch(CirclePatch(circle[:2], circle[2], fill=False, color=color, linewidth=2.5))
        axes.annotate(rf"$W_{number}$", place, color=color, fontsize=18)
    for (name, (x, y)), (marker, color, size) in zip(points.items(), MARKERS, strict=True):
        axes.plot(x, y, marker, color=color, markersize=size, label=name, zorder=3)


def draw_path(axes: Axes, table: pd.DataFrame) -> None:
    """Draw phi's path, and in each task's colour the inner loops that pulled it."""
    for (_, task), rows in table[table.iteration < SHOWN].groupby(["iteration", "task"]):
        axes.plot(rows.x, rows.y, ".-", color=COLORS[task], markersize=3, linewidth=0.7, alpha=0.45)
    outer = table[table.inner == 0]
    axes.plot(outer.x, outer.y, "o-", color="black", markersize=3, linewidth=1, label=r"$\phi$")
    first, last = outer.iloc[0], outer.iloc[-1]
    axes.annotate(
        "start", (first.x, first.y), xytext=(0, -14), textcoords="offset points", ha="center"
    )
    axes.plot(last.x, last.y, "o", color="tab:red", markersize=6, label=r"last $\phi$", zorder=4)
