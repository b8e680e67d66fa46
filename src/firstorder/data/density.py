"""Images of one class as samples of a density: a task is a character."""

from typing import ClassVar

import numpy as np

from firstorder.data.image_sets import ImageSet, image_set
from firstorder.data.source import Task
from firstorder.settings import NO_OPTIONS, Filename, Options, checked
from firstorder.task.base import TaskKind
from firstorder.task.density import Density as DensityKind


class Density:
    """Draw tasks of one class: black and white images, to be seen and to be assigned probabilities.

    A pixel is 1 where it is darker than half, as ink is, and 0 elsewhere. An image is both the input and
    the target: the network may look at the pixels before each.

    Args:
        images, root, mirror, options: the data set, see `firstorder.data.image_sets`.

    Raises:
        ValueError: the data set refuses its settings, or its images are in colour.
    """

    name: ClassVar[str] = "density"
    kind: ClassVar[TaskKind] = DensityKind()

    @checked("data.source")
    def __init__(
        self,
        images: ImageSet = "glyphs",
        *,
        root: Filename = "data",
        mirror: Filename | None = None,
        options: Options = NO_OPTIONS,
    ) -> None:
        self.images = image_set(images, root, mirror, options)
        assert self.images.input_shape is not None
        if self.images.input_shape[0] != 1:
            raise ValueError(
                f"data.source.images={images} has {self.images.input_shape[0]} channels: densities are"
                " of grey images, made black and white; imagefolder takes"
                " data.source.options={channels: 1}"
            )
        self.input_shape = self.output_shape = self.images.input_shape

    @property
    def fingerprint(self) -> str:
        """The images' own."""
        return self.images.fingerprint

    @property
    def classes(self) -> dict[str, int]:
        """The classes of each split."""
        return self.images.classes

    def prepare(self) -> None:
        """Fetch the images and build their cache."""
        self.images.prepare()

    def setup(self) -> None:
        """Open the images' cache."""
        self.images.setup()

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways != 1:
            raise ValueError(f"data.ways={ways}: a density is of one class, set data.ways=1")
        task = self.images.draw(split, rng, 1, shots, query_shots)
        seen, asked = ((x < 128).astype(np.float32) for x in (task.support_x, task.query_x))
        return Task(seen, seen, asked, asked)
