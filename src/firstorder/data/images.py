"""Few-shot tasks from classes of images: what all image data sets share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from firstorder.data.cache import Cache, ReadClass, build, cache_folder, open_cache
from firstorder.data.source import Task

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
    """

    name: str
    kind = "classification"

    def __init__(self, *, rotations: bool = False) -> None:
        self.rotations = rotations
        self._cache: Cache | None = None
        self._rows: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}

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
        build(cache_folder(self.name, self.key()), self.read)

    def setup(self) -> None:
        """Open the prepared cache and look up the classes of each split."""
        cache = open_cache(cache_folder(self.name, self.key()))
        number = {name: i for i, name in enumerate(cache.names)}
        starts, counts = cache.offsets[:-1], np.diff(cache.offsets)
        for split, names in self.split(cache.names).items():
            rows = np.array([number[name] for name in names], dtype=np.int64)
            turns = len(TURNS) if self.rotations and split == "train" else 1
            self._rows[split] = (
                np.tile(starts[rows], turns),
                np.tile(counts[rows], turns),
                np.repeat(np.arange(turns), len(rows)),
            )
        self._cache = cache

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
            raise ValueError(
                f"A {split} task of {shots} support and {query_shots} query images a class needs "
                f"{shots + query_shots}, and a class of {self.name} has {counts.min()}: lower {key}"
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
        self.check(split, ways, shots, query_shots)
        chosen = sample(rng, np.array([len(starts)]), ways)[0]
        images = starts[chosen, None] + sample(rng, counts[chosen], shots + query_shots)
        labels = np.arange(ways)

        def take(rows: np.ndarray) -> np.ndarray:
            taken = pixels[rows]  # (ways, n, C, H, W)
            for way, turn in enumerate(turns[chosen].tolist()):
                if turn:
                    taken[way] = TURNS[turn](taken[way])
            return taken.reshape(-1, *pixels.shape[1:])

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
    step = np.arange(size)
    swap = step + (rng.random((len(counts), size)) * (counts[:, None] - step)).astype(np.int64)
    drawn = []
    for row in swap.tolist():
        moved: dict[int, int] = {}
        for i, j in enumerate(row):
            drawn.append(moved.get(j, j))
            moved[j] = moved.get(i, i)
    return np.array(drawn).reshape(len(counts), size)
