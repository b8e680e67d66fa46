"""Few-shot tasks drawn from the images of one split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from firstorder.data.images.augment import Augmentation
from firstorder.data.images.cache import Cache
from firstorder.data.sample import sample_without_replacement
from firstorder.data.source import Task

TURNS = (
    4  # quarter turns of an image; a place is TURNS times its number, plus how often it is turned
)
Rotation = Callable[[np.ndarray], np.ndarray]
# Rotate (..., H, W) by 0, 90, 180 and 270 degrees, counter-clockwise, as np.rot90 does but faster.
ROTATIONS: tuple[Rotation, ...] = (
    lambda x: x,
    lambda x: x.swapaxes(-1, -2)[..., ::-1, :],
    lambda x: x[..., ::-1, ::-1],
    lambda x: x.swapaxes(-1, -2)[..., ::-1],
)


@dataclass(frozen=True, eq=False)
class Split:
    """Say where the images of a split's classes are, and draw tasks from them.

    Attributes:
        starts: (classes,) int64, the first image of each class in the array of all images.
        counts: (classes,) int64, the number of its images, which follow each other.
        rotations: (classes,) int64, the index in `ROTATIONS` of what is done to its images.
        augmentations: random changes made to the images of every task, one after the other.
    """

    starts: np.ndarray
    counts: np.ndarray
    rotations: np.ndarray
    augmentations: tuple[Augmentation, ...] = ()

    def draw(
        self,
        pixels: np.ndarray,
        rng: np.random.Generator,
        ways: int,
        shots: int,
        query_shots: int,
    ) -> Task:
        """Draw one task: classes without replacement, then images of each without replacement.

        Args:
            pixels: (images, C, H, W) uint8, all images of the data set.
            rng: the source of randomness.
            ways: the number of classes, at most those of the split.
            shots: the number of support images of each class.
            query_shots: the number of query images of each class.

        Returns:
            (ways * shots, C, H, W) uint8 images class after class, labelled in the order of draw;
            the query images likewise.
        """
        images, rotations = self._choose(rng, ways, shots + query_shots)
        labels, turns = np.arange(ways), rotations.tolist()
        return Task(
            self._read(pixels, images[:, :shots], turns, rng),
            labels.repeat(shots),
            self._read(pixels, images[:, shots:], turns, rng),
            labels.repeat(query_shots),
        )

    def draw_places(
        self, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw the task that `draw` would, and return the places of its images instead: int64, (n,)."""
        images, rotations = self._choose(rng, ways, shots + query_shots)
        places, labels = TURNS * images + rotations[:, None], np.arange(ways)
        return Task(
            places[:, :shots].ravel(),
            labels.repeat(shots),
            places[:, shots:].ravel(),
            labels.repeat(query_shots),
        )

    def _choose(
        self, rng: np.random.Generator, ways: int, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw classes and images: their numbers, (ways, number), and each class's rotation, (ways,)."""
        classes = sample_without_replacement(rng, np.array([len(self.starts)]), ways)[0]
        within = sample_without_replacement(rng, self.counts[classes], number)
        return self.starts[classes, None] + within, self.rotations[classes]

    def _read(
        self,
        pixels: np.ndarray,
        images: np.ndarray,
        rotations: list[int],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return images given by their indices, (ways, n), rotated and augmented: (ways * n, C, H, W)."""
        shape = pixels.shape[1:]
        if not images.size:
            return np.empty((0, *shape), pixels.dtype)
        read = pixels[images]  # (ways, n, C, H, W)
        for way, rotation in enumerate(rotations):
            if rotation:
                read[way] = ROTATIONS[rotation](read[way])
        read = read.reshape(-1, *shape)
        for augment in self.augmentations:
            read = augment(read, rng)
        return read


def split_of(
    cache: Cache,
    names: Sequence[str],
    *,
    rotated: bool = False,
    augmentations: tuple[Augmentation, ...] = (),
) -> Split:
    """Make a split of the classes of those names, and of their rotations where `rotated`."""
    number = {name: i for i, name in enumerate(cache.names)}
    classes = np.array([number[name] for name in names], dtype=np.int64)
    rotations = len(ROTATIONS) if rotated else 1
    return Split(
        np.tile(cache.offsets[:-1][classes], rotations),
        np.tile(np.diff(cache.offsets)[classes], rotations),
        np.repeat(np.arange(rotations), len(classes)),
        augmentations,
    )


def set_validation_apart(
    parts: dict[str, list[str]], classes: int, name: str
) -> dict[str, list[str]]:
    """Turn the last so many training classes of a data set into its validation classes.

    Args:
        parts: names of the classes of each split.
        classes: how many to validate on; 0 leaves everything as it is.
        name: the data set's.

    Raises:
        ValueError: it has validation classes already, or no training classes would be left.
    """
    if not classes:
        return parts
    setting, train = f"data.source.validation_classes={classes}", parts["train"]
    if parts["val"]:
        raise ValueError(
            f"{setting} cannot go with {name}'s own {len(parts['val'])} validation classes"
        )
    if classes >= len(train):
        raise ValueError(f"{setting} leaves none of the {len(train)} training classes of {name}")
    return {**parts, "train": train[:-classes], "val": train[-classes:]}
