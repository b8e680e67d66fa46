"""Pictures as functions of their coordinates: a task is one image of a data set of images."""

from functools import cached_property
from typing import ClassVar

import numpy as np

from firstorder.data.image_sets import TasksOfImages
from firstorder.data.source import Task, TaskSizeError
from firstorder.task.base import TaskKind
from firstorder.task.field import Field


class Fields(TasksOfImages):
    """Draw tasks (x, y) -> shade or colour, in the split of the classes that the images belong to.

    Coordinates are the centres of pixels in [-1, 1] x [-1, 1], y down; values are in [0, 1]. Shots are
    pixels of one image, drawn without replacement. The query points are other pixels in training; in
    evaluation they are as many of all pixels, and the whole image row by row where all are asked for.

    Its arguments are those of `TasksOfImages`.
    """

    name: ClassVar[str] = "fields"
    kind: ClassVar[TaskKind] = Field()
    input_shape: ClassVar[tuple[int, ...]] = (2,)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The channels."""
        return self.shape[:1]

    @cached_property
    def grid(self) -> np.ndarray:
        """Where the pixels lie, row by row."""
        return pixel_centres(*self.shape[1:])

    @property
    def pixels(self) -> int:
        """The number of points of an image; conf/data/fields.yaml asks for all of them."""
        return len(self.grid)

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways != 1:
            raise ValueError(f"data.ways={ways}: an image is one function, set data.ways=1")
        most, is_whole = len(self.grid), query_shots == len(self.grid)
        others = query_shots if split == "train" and not is_whole else 0
        if max(shots + others, query_shots) > most:
            raise TaskSizeError(
                f"a {split} task takes {shots} support and {query_shots} query points, and an image of"
                f" {self.images.name} has {most} pixels: lower data.shots, data.train_shots or"
                " eval.query_shots"
            )
        (image,), *_ = self.images.draw(split, rng, 1, 1, 0)
        values = image.reshape(len(image), most).T.astype(np.float32) / 255
        order = rng.permutation(most)
        support, query = order[:shots], order[most - query_shots :]
        if is_whole:
            query = np.arange(most)
        return Task(self.grid[support], values[support], self.grid[query], values[query])


def pixel_centres(height: int, width: int) -> np.ndarray:
    """Return (x, y) of each pixel of an image, row by row, in [-1, 1]: (height x width, 2) float32."""
    y, x = ((2 * np.arange(side) + 1) / side - 1 for side in (height, width))
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
