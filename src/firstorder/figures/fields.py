"""How fast fields are fitted from several initialisations, and what the fits look like."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from firstorder.figures.style import look_of


def draw_fields(table: pd.DataFrame, measure: str) -> Figure:
    """Draw mean scores against steps with their 95% intervals, and below them one task's fits.

    Args:
        table: of `firstorder.analysis.Fields`.
        measure: what a score is.
    """
    names = list(dict.fromkeys(table.initialisation))
    counts = sorted(set(table[table.kind == "fit"].steps))
    size = (1.1 * (len(counts) + 1) + 0.6, 3.2 + 1.25 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[3, 1.2 * len(names)])
    above, below = parts
    axes = above.subplots()
    for number, name in enumerate(names):
        scores = table[(table.initialisation == name) & (table.kind == "score")]
        each = scores.groupby("steps").value
        mean, error = each.mean(), 1.96 * each.sem().fillna(0)
        look = look_of((number, number))
        axes.plot(mean.index, mean, label=name, **look)
        band = mean - error, mean + error
        axes.fill_between(mean.index, *band, color=look["color"], alpha=0.2, linewidth=0)
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlabel="inner steps", ylabel="PSNR, dB" if measure == "psnr" else measure)
    axes.set_xticks(counts, [str(n) for n in counts])
    axes.legend()
    grid = below.subplots(len(names), len(counts) + 1, squeeze=False)
    for row, name in zip(grid, names, strict=True):
        of = table[(table.initialisation == name) & (table.kind != "score")]
        target = values(of[of.kind == "target"])
        show(row[0], target, target)
        row[0].set_ylabel(name, fontsize=8)
        for place, steps in zip(row[1:], counts, strict=True):
            show(place, values(of[(of.kind == "fit") & (of.steps == steps)]), target)
    for place, title in zip(grid[0], ["target", *(f"{n} steps" for n in counts)], strict=True):
        place.set_title(title, fontsize=8)
    return figure


def values(rows: pd.DataFrame) -> np.ndarray:
    """Return the values of a field, (points, channels)."""
    return rows.pivot(index="index", columns="channel", values="value").to_numpy()


def show(axes: Axes, field: np.ndarray, target: np.ndarray) -> None:
    """Show a square image of 1 or 3 channels as one, and other fields as curves over the target's."""
    axes.set(xticks=[], yticks=[])
    side = round(len(field) ** 0.5)
    if side * side == len(field) and field.shape[1] in (1, 3) and side > 10:
        axes.imshow(field.reshape(side, side, -1).clip(0, 1), cmap="gray", vmin=0, vmax=1)
    else:
        axes.plot(target[:, 0], color="0.7")
        axes.plot(field[:, 0])
        axes.set_ylim(0, 1)
