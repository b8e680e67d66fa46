"""How figures look and are written: for print, for the colour-blind, and the same bytes every time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design", 2008; black and the darker ones first, no yellow on white.
COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
RC: Any = {
    "svg.hashsalt": "firstorder",  # ids in the SVG are random without it
    "svg.fonttype": "path",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "legend.frameon": False,
}
Look = tuple[int, int]  # number of the colour, number of the line style and marker


def look_of(look: Look) -> dict[str, Any]:
    """Return a curve's colour, line and marker; numbers beyond the last start again."""
    color, line = look
    return {
        "color": COLORS[color % len(COLORS)],
        "linestyle": LINES[line % len(LINES)],
        "marker": MARKERS[line % len(MARKERS)],
    }


def panels(number: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with a number of panels side by side that share their vertical axis."""
    figure = Figure(figsize=(width * number, height), layout="constrained")
    return figure, list(figure.subplots(1, number, sharey=True, squeeze=False)[0])


def save(figure: Figure, stem: Path) -> None:
    """Write a figure as SVG and PNG beside each other; the same figure gives the same bytes."""
    with mpl.rc_context(RC):
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
        figure.savefig(stem.with_suffix(".png"), dpi=150, metadata={"Software": None})
