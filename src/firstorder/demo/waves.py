"""Clicked points of a sine wave as a task: the second tab of the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from firstorder.library.learner import Learner, load
from firstorder.run.checkpoint import read_checkpoint

STEPS = (0, 1, 8, 32)
MOST_POINTS = 20
GRID = np.linspace(-5, 5, 101, dtype=np.float32)[:, None]


class Waves:
    """Fit a curve to points.

    Args:
        path: a checkpoint that was trained on functions of one number, such as sine waves.

    Raises:
        ValueError: there is no such checkpoint, or it was trained on something else.
    """

    def __init__(self, path: str | Path) -> None:
        read_checkpoint(path, "sine_ckpt_path")
        self.learner: Learner = load(path)
        if self.learner.trained.kind.has_classes or self.learner.form.shape != (1,):
            name = self.learner.trained.config["data"]["source"]["_target_"].rpartition(".")[2]
            raise ValueError(
                f"sine_ckpt_path={path} was trained on {name}, whose tasks are not functions of one"
                " number: name the checkpoint of a run with data=sinusoid"
            )

    def about(self) -> dict[str, Any]:
        """Return what the page has to know: the counts of steps, and where the curves are drawn."""
        return {"steps": STEPS, "grid": GRID[:, 0].tolist(), "most": MOST_POINTS}

    def fit(self, points: Sequence[Sequence[float]]) -> list[list[float]]:
        """Return the curve over the grid after each of `STEPS`, (counts, grid).

        Args:
            points: (x, y) each.

        Raises:
            ValueError: there are none, too many, or they are no numbers; or the inner loop diverges.
        """
        values = np.asarray(points)
        is_pairs = values.ndim == 2 and values.shape[1] == 2 and values.dtype.kind in "if"
        if not is_pairs or len(values) > MOST_POINTS or not np.isfinite(values).all():
            raise ValueError(f"points are 1 to {MOST_POINTS} pairs of numbers, x and y")
        x, y = values.astype(np.float32).T[..., None]
        adaptation = self.learner.begin(x, y, steps=STEPS[-1])
        return [each.predict(GRID)[:, 0].tolist() for each in adaptation.after(STEPS).values()]
