"""Few-shot tasks from classes of images: what all image data sets share."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from firstorder.data.images.augment import Augmentation, AugmentationName, augmentation
from firstorder.data.images.cache import Cache, ReadClass, cache_folder, open_cache
from firstorder.data.images.pictures import Target
from firstorder.data.images.preparation import build
from firstorder.data.source import Task
from firstorder.settings import Count

logger = logging.getLogger(__name__)

Turn = Callable[[np.ndarray], np.ndarray]
TURNS: tuple[Turn, ...] = (  # by 0, 90, 180, 270 degrees, counter-clockwise; cheaper than np.rot90
    lambda x: x,
    lambda x: x.swapaxes(-1, -2)[..., ::-1, :],
    lambda x: x[..., ::-1, ::-1],
    lambda x: x.swapaxes(-1, -2)[..., ::-1],
)


class ImageSource(ABC):
    """Draw few-shot classification tasks from images that lie in a memory-mapped cache.

    A data set says how its images are read, how its classes are split and which settings decide the
    pixels; the cache, the rotated classes and the sampling are here.

    Args:
        rotations: add every training class turned by 90, 180 and 270 degrees as further classes.
        augment: names of random changes to training images, see `firstorder.data.images.augment`.
        min_images: leave out classes with fewer images.
        skip_bad_images: leave out images that can't be read, which else stop the preparation;
            None where the data set gives no such choice.

    Raises:
        ValueError: an unknown augmentation.
    """

    name: str
    kind = "classification"
    target: Target

    def __init__(
        self,
        *,
        rotations: bool = False,
        augment: Sequence[AugmentationName] = (),
        min_images: Count = 1,
        skip_bad_images: bool | None = None,
    ) -> None:
        self.rotations, self.min_images = rotations, min_images
        self.skip_bad_images = skip_bad_images
        self.augmentations: list[Augmentation] = [augmentation(name) for name in augment]
        self._cache: Cache | None = None
        self._rows: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._checked: set[tuple[str, int, int, int]] = set()  # sizes of tasks

    @abstractmethod
    def key(self) -> dict[str, object]:
        """Return what decides the pixels: settings, and the identity of the files read."""

    @abstractmethod
    def read(self) -> Iterator[tuple[str, ReadClass]]:
        """Yield each class's name and a function that decodes its images, in a fixed order."""

    @abstractmethod
    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the classes in "train", "val" and "test"."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return (channels, rows, columns), those of `target`; a source without one says its own."""
        return len(self.target.mode), self.target.size, self.target.size

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
        """Open the prepared cache and look up the classes of each split."""
        cache = open_cache(self.folder())
        number = {name: i for i, name in enumerate(cache.names)}
        starts, counts = cache.offsets[:-1], np.diff(cache.offsets)
        if self.rotations and cache.pixels.shape[-1] != cache.pixels.shape[-2]:
            raise ValueError(f"data.source.rotations=true needs square images in {self.name}")
        kept = [name for name in cache.names if counts[number[name]] >= self.min_images]
        for split, names in self.split(kept).items():
            rows = np.array([number[name] for name in names], dtype=np.int64)
            rows = rows[counts[rows] >= self.min_images]
            turns = len(TURNS) if self.rotations and split == "train" else 1
            self._rows[split] = (
                np.tile(starts[rows], turns),
                np.tile(counts[rows], turns),
                np.repeat(np.arange(turns), len(rows)),
            )
        self._cache = cache

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
        return {split: len(starts) for split, (starts, _, _) in self._rows.items()}

    def check(self, split: str, ways: int, shots: int, query_shots: int) -> None:
        """Make sure that a split can give such tasks.

        Raises:
            ValueError: where it has too few classes or too few images of a class.
        """
        _, counts, _ = self._rows[split]
        if ways > len(counts):
            raise ValueError(
                f"data.ways={ways} asks for more classes than the {len(counts)} in the {split} "
                f"split of {self.name}: lower data.ways"
            )
        if shots + query_shots > counts.min():
            key = "data.train_shots" if split == "train" else "data.shots"
            start = self._rows[split][0][counts.argmin()]
            name = self._opened().names[np.searchsorted(self._opened().offsets, start, "right") - 1]
            raise ValueError(
                f"a {split} task takes {shots} support and {query_shots} query images of a class, "
                f"and {name!r} of {self.name} has {counts.min()}: lower {key}"
            )

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task: classes without replacement, then images of each without replacement.

        Returns:
            (ways * shots, C, H, W) uint8 images class after class, labelled in the order of draw;
            the query images likewise.
        """
        pixels = self._opened().pixels
        starts, counts, turns = self._rows[split]
        size = split, ways, shots, query_shots
        if size not in self._checked:
            self.check(*size)
            self._checked.add(size)
        chosen = sample(rng, np.array([len(starts)]), ways)[0]
        images = starts[chosen, None] + sample(rng, counts[chosen], shots + query_shots)
        labels = np.arange(ways)

        def take(rows: np.ndarray) -> np.ndarray:
            if not rows.size:
                return np.empty((0, *pixels.shape[1:]), pixels.dtype)
            taken = pixels[rows]  # (ways, n, C, H, W)
            for way, turn in enumerate(turns[chosen].tolist()):
                if turn:
                    taken[way] = TURNS[turn](taken[way])
            taken = taken.reshape(-1, *pixels.shape[1:])
            if split == "train":
                for change in self.augmentations:
                    taken = change(taken, rng)
            return taken

        return Task(
            take(images[:, :shots]),
            labels.repeat(shots),
            take(images[:, shots:]),
            labels.repeat(query_shots),
        )

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


def sample(rng: np.random.Generator, counts: np.ndarray, size: int) -> np.ndarray:
    """Draw `size` of the numbers 0..count-1 without replacement, for each count.

    The first steps of a Fisher-Yates shuffle on a list that is never written out: ten times faster
    than `rng.choice(replace=False)` for the few small draws of a task.

    Returns:
        (len(counts), size) int64.
    """
    drawn = []
    for count, row in zip(counts.tolist(), rng.random((len(counts), size)).tolist(), strict=True):
        moved: dict[int, int] = {}
        for i, chance in enumerate(row):
            j = i + int(chance * (count - i))
            drawn.append(moved.get(j, j))
            moved[j] = moved.get(i, i)
    return np.array(drawn).reshape(len(counts), size)
