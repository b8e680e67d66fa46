"""Episodes side by side: what a learner is shown, and what it is asked."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from firstorder.task.episode import Episode


def draw_episodes(episodes: Sequence[Episode]) -> Figure:
    """Draw episodes in one column, a class a row: its support images, then its query images."""
    sheets = [_sheet(episode) for episode in episodes]
    height, width = sheets[0].shape[:2]
    ways = int(episodes[0].support_y.max()) + 1
    scale = 0.6 * ways / height  # inches a pixel
    size = (max(width * scale, 4), len(sheets) * (height * scale + 0.4))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(sheets), squeeze=False)[:, 0]
    for i, (sheet, place) in enumerate(zip(sheets, axes, strict=True)):
        place.imshow(sheet)
        place.set_title(f"episode {i}: support | query", fontsize=8)
        place.axis("off")
    return figure


def _sheet(episode: Episode) -> np.ndarray:
    """Arrange an episode's images in a grid: (H, W, 3) uint8."""
    ways = int(episode.support_y.max()) + 1
    support, query = (
        _grid(x.numpy(), y.numpy(), ways)
        for x, y in ((episode.support_x, episode.support_y), (episode.query_x, episode.query_y))
    )
    gap = np.full((len(support), 6, 3), 255, np.uint8)
    return np.concatenate([support, gap, query], axis=1)


def _grid(images: np.ndarray, labels: np.ndarray, ways: int) -> np.ndarray:
    """Put the images of a class into a row, with a white line around each."""
    order = np.argsort(labels, kind="stable")
    rows = images[order].reshape(ways, len(labels) // ways, *images.shape[1:])
    framed = np.pad(rows, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)), constant_values=255)
    _, shots, channels, height, width = framed.shape
    grid = framed.transpose(0, 3, 1, 4, 2).reshape(ways * height, shots * width, channels)
    return np.broadcast_to(grid, (*grid.shape[:2], 3))
