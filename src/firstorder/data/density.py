"""Images of one class as samples of a density: a task is a character."""

from typing import ClassVar

import numpy as np

from firstorder.data.image_sets import TasksOfImages
from firstorder.data.source import Task
from firstorder.task.base import TaskKind
from firstorder.task.density import Density as DensityKind


class Density(TasksOfImages):
    """Draw tasks of one class: black and white images, to be seen and to be assigned probabilities.

    A pixel is 1 where it is darker than half, as ink is, and 0 elsewhere. An image is both the input and
    the target: the network may look at the pixels before each.

    Its arguments are those of `TasksOfImages`.
    """

    name: ClassVar[str] = "density"
    kind: ClassVar[TaskKind] = DensityKind()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """That of an image."""
        return self.shape

    output_shape = input_shape

    def must_suit(self) -> None:
        if self.shape[0] != 1:
            raise ValueError(
                f"data.source.images={self.images.name} has {self.shape[0]} channels: densities are"
                " of grey images, made black and white; imagefolder takes"
                " data.source.options={channels: 1}"
            )

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways != 1:
            raise ValueError(f"data.ways={ways}: a density is of one class, set data.ways=1")
        task = self.images.draw(split, rng, 1, shots, query_shots)
        seen, asked = ((x < 128).astype(np.float32) for x in (task.support_x, task.query_x))
        return Task(seen, seen, asked, asked)
