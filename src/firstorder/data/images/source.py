"""Few-shot tasks from classes of images: what all data sets of images share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from firstorder.data.images.augment import AugmentationName, augmentation
from firstorder.data.images.cache import Cache, ReadClass, cache_folder, open_cache
from firstorder.data.images.preparation import build
from firstorder.data.images.split import Split, set_validation_apart, split_of
from firstorder.data.source import Task, TaskSizeError, TooFewImages
from firstorder.settings import Count, CountOrZero
from firstorder.task.classification import Classification

logger = logging.getLogger(__name__)


class ImageSource(ABC):
    """Draw few-shot classification tasks from images that lie in a memory-mapped cache.

    A data set says how its images are read, how its classes are split and which settings decide the
    pixels; the cache, the rotated classes and the sampling are here.

    Args:
        input_shape: (C, H, W) of every image, which sizes the network; None where it is not known
            before the cache is opened.
        rotations: add every training class rotated by 90, 180 and 270 degrees as further classes.
        augment: names of random changes to training images, see `firstorder.data.images.augment`.
        validation_classes: how many training classes to validate on instead, for a data set that has
            no validation classes of its own: the last ones of its training split.
        min_images: leave out classes with fewer images.
        skip_bad_images: leave out images that can't be read, which otherwise stop the preparation;
            None where the data set does not offer the choice.

    Raises:
        ValueError: an unknown augmentation.
    """

    name: str
    kind = Classification()

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...] | None = None,
        rotations: bool = False,
        augment: Sequence[AugmentationName] = (),
        validation_classes: CountOrZero = 0,
        min_images: Count = 1,
        skip_bad_images: bool | None = None,
    ) -> None:
        self.input_shape = input_shape
        self.rotations, self.min_images = rotations, min_images
        self.validation_classes, self.skip_bad_images = validation_classes, skip_bad_images
        self.augmentations = tuple(augmentation(name) for name in augment)
        self._cache: Cache | None = None
        self._splits: dict[str, Split] = {}
        self._possible: set[tuple[str, int, int, int]] = set()  # sizes of tasks that were checked

    @abstractmethod
    def key(self) -> dict[str, object]:
        """Return what decides the pixels: settings, and the identity of the files read."""

    @abstractmethod
    def read(self) -> Iterator[tuple[str, ReadClass]]:
        """Yield each class's name and a function that decodes its images, in a fixed order."""

    @abstractmethod
    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the classes in "train", "val" and "test"."""

    def fetch(self) -> None:  # noqa: B027 (most sources have nothing to fetch)
        """Download what is missing."""

    def prepare(self) -> None:
        """Fetch what is missing and build the cache; safe in several processes at once."""
        self.fetch()
        build(self.folder(), self.read, skip_bad=self.skip_bad_images)
        self.setup()
        for line in self.describe():
            logger.info(line)

    def setup(self) -> None:
        """Open the prepared cache and look up the classes of each split.

        Raises:
            ValueError: the images are not what the settings need or `input_shape` promises.
        """
        cache = open_cache(self.folder())
        shape = cache.pixels.shape[1:]
        if self.input_shape not in (None, shape):
            raise ValueError(f"{self.name} has images of {shape}, not of {self.input_shape}")
        if self.rotations and shape[-1] != shape[-2]:
            raise ValueError(f"data.source.rotations=true needs square images in {self.name}")
        counts = dict(zip(cache.names, np.diff(cache.offsets).tolist(), strict=True))
        large = [name for name in cache.names if counts[name] >= self.min_images]
        parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for split, names in self.split(large).items():
            parts[split] = [name for name in names if counts[name] >= self.min_images]
        parts = set_validation_apart(parts, self.validation_classes, self.name)
        self._splits = {split: split_of(cache, names) for split, names in parts.items()}
        self._splits["train"] = split_of(
            cache, parts["train"], rotated=self.rotations, augmentations=self.augmentations
        )
        self._cache, self.input_shape = cache, shape

    def describe(self) -> list[str]:
        """Return lines that say what the data are, and what was left out of them."""
        cache = self._opened()
        counts = np.diff(cache.offsets)
        channels, height, width = cache.pixels.shape[1:]
        classes = ", ".join(f"{number} {split}" for split, number in self.classes.items())
        images = " to ".join(str(size) for size in sorted({counts.min(), counts.max()}))
        lines = [
            f"{self.name}: {classes} classes of {images} images, "
            f"{width}x{height}x{channels} pixels, fingerprint {cache.fingerprint[:16]}"
        ]
        small = [name for name, n in zip(cache.names, counts, strict=True) if n < self.min_images]
        if small:
            lines.append(
                f"left out classes of fewer than {self.min_images} images: {', '.join(small)}"
            )
        return lines + [f"left out: {complaint}" for complaint in cache.bad]

    @property
    def fingerprint(self) -> str:
        """Return the digest of all classes' names and pixels."""
        return self._opened().fingerprint

    @property
    def classes(self) -> dict[str, int]:
        """Return the number of classes in each split, rotated ones included."""
        self._opened()
        return {name: len(split.starts) for name, split in self._splits.items()}

    def check(self, split: str, ways: int, shots: int, query_shots: int) -> None:
        """Make sure that a split can give such tasks.

        Raises:
            TaskSizeError: it has too few classes.
            TooFewImages: it has too few images of a class.
        """
        counts = self._splits[split].counts
        if ways > len(counts):
            raise TaskSizeError(
                f"data.ways={ways} asks for more classes than the {len(counts)} in the {split} "
                f"split of {self.name}: lower data.ways"
            )
        if shots + query_shots > counts.min():
            cache, start = self._opened(), self._splits[split].starts[counts.argmin()]
            smallest = cache.names[np.searchsorted(cache.offsets, start, "right") - 1]
            raise TooFewImages(
                f"a {split} task takes {shots} support and {query_shots} query images of a class, "
                f"and {smallest!r} of {self.name} has {counts.min()}"
            )

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task, see `Split.draw`; a size that is new is checked first."""
        self._check_new(split, ways, shots, query_shots)
        return self._splits[split].draw(self._opened().pixels, rng, ways, shots, query_shots)

    def unaugmented(self) -> Self:
        """Return the same images, opened, without random changes: evaluation wants them as they are."""
        if not self.augmentations:
            return self
        plain = copy(self)
        plain.augmentations = ()
        plain._splits = {
            name: replace(split, augmentations=()) for name, split in self._splits.items()
        }
        return plain

    def draw_places(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw the same task as places of images; only where nothing is changed in them at random."""
        assert not self.augmentations
        self._check_new(split, ways, shots, query_shots)
        return self._splits[split].draw_places(rng, ways, shots, query_shots)

    def _check_new(self, *size: Any) -> None:
        if size not in self._possible:
            self.check(*size)
            self._possible.add(size)

    @property
    def pixels(self) -> np.ndarray:
        """All images, (images, C, H, W) uint8, mapped from the cache."""
        return self._opened().pixels

    @property
    def class_numbers(self) -> np.ndarray:
        """The number of each image's class, (images,) int64, whatever its split."""
        counts = np.diff(self._opened().offsets)
        return np.arange(len(counts)).repeat(counts)

    def __getstate__(self) -> dict[str, object]:
        """Leave the pixels behind when pickled for another process, which maps them itself."""
        return {**self.__dict__, "_cache": None, "_open": self._cache is not None}

    def __setstate__(self, state: dict[str, object]) -> None:
        reopen = state.pop("_open")
        self.__dict__.update(state)
        if reopen:
            self.setup()

    def folder(self) -> Path:
        """Return where the cache of these data and settings lies."""
        return cache_folder(
            self.name, {**self.key(), "skip_bad_images": bool(self.skip_bad_images)}
        )

    def _opened(self) -> Cache:
        assert self._cache is not None, "call prepare() and setup() first"
        return self._cache
