"""Samples of a density after some inner steps, beside the images that it was fitted to."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from torch import Tensor


def draw_samples(seen: Tensor, drawn: Mapping[str, Sequence[tuple[int, Tensor]]]) -> Figure:
    """Draw a row an initialisation: the images seen, then samples after so many steps.

    Args:
        seen: binary images, (n, 1, H, W); up to four are drawn.
        drawn: by initialisation, (inner steps, samples of the same form).
    """
    columns = 1 + max(map(len, drawn.values()))
    figure = Figure(figsize=(1.9 * columns, 2.1 * len(drawn)), layout="constrained")
    places = figure.subplots(len(drawn), columns, squeeze=False)
    for row, (name, steps) in zip(places, drawn.items(), strict=True):
        pictures = [("seen", seen), *((f"{n} steps", images) for n, images in steps)]
        for axes, (title, images) in zip(row, pictures, strict=True):
            axes.imshow(1 - tiled(images), cmap="gray", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.set_title(title, fontsize=8)
        row[0].set_ylabel(name, fontsize=8)
    return figure


def tiled(images: Tensor) -> Tensor:
    """Put up to four images, (n, 1, H, W), into one of two by two, (2 H, 2 W)."""
    _, _, height, width = images.shape
    four = images.new_zeros(4, height, width)
    four[: len(images[:4])] = images[:4, 0]
    return four.reshape(2, 2, height, width).permute(0, 2, 1, 3).reshape(2 * height, 2 * width)
