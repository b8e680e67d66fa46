"""A user's classes and images, each image with the class that a learner takes it for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

SHOWN = 5  # support images of a class
ACROSS = 8  # query images in a row
MOST, MOST_CLASSES = 400, 100  # that are drawn: a sheet of thousands opens nowhere
LONGEST = 14  # characters of a name above an image


def draw_answers(
    support: Mapping[str, Sequence[Path]], query: Sequence[Path], probabilities: np.ndarray
) -> Figure:
    """Draw a row of support images a class, then the query images with the predicted class over each.

    Args:
        support: by class, in the order of the columns of `probabilities`; the first `MOST_CLASSES` are
            drawn.
        query: (m,) image files; the first `MOST` are drawn.
        probabilities: (m, classes).
    """
    query, classes = query[:MOST], list(support)
    above, rows = min(len(classes), MOST_CLASSES), -(-len(query) // ACROSS)
    figure = Figure(figsize=(1.2 * ACROSS, 1.35 * (above + rows)), layout="constrained")
    places = figure.subplots(above + rows, ACROSS, squeeze=False)
    for axes in places.flat:
        axes.axis("off")
    for row, (name, paths) in zip(places[:above], support.items(), strict=False):
        for axes, path in zip(row, paths[:SHOWN], strict=False):
            show_file(axes, path)
        row[0].set_title(shortened(name), fontsize=8, loc="left", weight="bold")
    for axes, path, chances in zip(places[above:].flat, query, probabilities, strict=False):
        show_file(axes, path)
        best = int(chances.argmax())
        axes.set_title(f"{shortened(classes[best])}\n{100 * chances[best]:.0f} %", fontsize=8)
    return figure


def show_file(axes: Axes, path: Path) -> None:
    """Show an image file, upright."""
    with Image.open(path) as picture:
        axes.imshow(ImageOps.exif_transpose(picture).convert("RGB"), aspect="equal")


def shortened(name: str) -> str:
    """Cut a name to what fits above an image, and let no character of it be read as a formula."""
    text = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return text.replace("$", r"\$")
