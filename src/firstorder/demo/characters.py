"""Drawn characters as a task: the first tab of the page."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Resampling

from firstorder.algo.evaluation import EvaluationSettings, curve_steps
from firstorder.library.adapted import Adapted
from firstorder.library.learner import Learner, load

MOST_CLASSES = 5


class Characters:
    """Tell drawings apart, after one drawing of each class.

    Args:
        path: a checkpoint that was trained on images.
        inner_loop: "inner_steps", "inner_batch_size" and "inner_lr"; as in training where None.

    Raises:
        ValueError: there is no such checkpoint.
    """

    def __init__(self, path: str | Path, inner_loop: dict[str, Any]) -> None:
        self.learner: Learner = load(path)
        self.learner.must_take_images(path)
        self.inner_loop = {key.removeprefix("inner_"): each for key, each in inner_loop.items()}
        settings: EvaluationSettings = self.learner.trained.evaluation
        self.steps = curve_steps(self.inner_loop.get("steps") or settings.inner_steps)
        assert self.learner.form.shape is not None
        self.channels, self.side, _ = self.learner.form.shape
        self._adapted = lru_cache(maxsize=16)(self._adapt)

    def about(self) -> dict[str, Any]:
        """Return what the page has to know: the drawings' side, how they are made, the most classes."""
        nearest = self.learner.form.filter == Resampling.NEAREST
        return {
            "side": self.side, "nearest": nearest, "steps": self.steps, "most": MOST_CLASSES,
        }  # fmt: skip

    def classify(self, support: Sequence[Sequence[int]], query: Sequence[int]) -> list[list[float]]:
        """Return the probability of each class after each of `steps`, (counts, classes).

        Args:
            support: a drawing of each class, side * side grey values from 0, ink, to 255.
            query: the drawing to be told.

        Raises:
            ValueError: there are fewer than two, or one has not the form; or the inner loop diverges.
        """
        adapted = self._adapted(tuple(self._picture(one).tobytes() for one in support))
        picture = self._picture(query)[None]
        return [after.probabilities(picture)[0].tolist() for after in adapted]

    def _adapt(self, drawings: tuple[bytes, ...]) -> list[Adapted]:
        if not 2 <= len(drawings) <= MOST_CLASSES:
            raise ValueError(f"draw 2 to {MOST_CLASSES} characters, each in a box of its own")
        shape = self.channels, self.side, self.side
        pictures = np.stack([np.frombuffer(each, np.uint8).reshape(shape) for each in drawings])
        adaptation = self.learner.begin(pictures, range(len(pictures)), **self.inner_loop)
        return list(adaptation.after(self.steps).values())

    def _picture(self, drawing: Sequence[int]) -> np.ndarray:
        """Return a drawing as the network takes it, (C, side, side)."""
        values = np.asarray(drawing)
        whole = values.dtype.kind == "i" and values.shape == (self.side**2,)
        if not whole or values.min() < 0 or values.max() > 255:
            raise ValueError(
                f"a drawing is {self.side} x {self.side} whole numbers from 0 to 255, row by row"
            )
        picture = values.astype(np.uint8).reshape(1, self.side, self.side)
        return picture.repeat(self.channels, 0)
