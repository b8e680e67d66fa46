"""Episodes as a pure function of (seed, stream, index)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from firstorder.data.minibatches import cycle_minibatches, replacement_minibatches
from firstorder.data.source import TaskSource
from firstorder.task.episode import Episode

# Streams of episodes that never share randomness: how often one looks does not change training.
TRAIN, MONITOR, TEST = range(3)

# A generator's state, but for its key: setting it is ten times cheaper than a new generator.
FRESH = np.random.Philox(key=0).state


@dataclass(frozen=True, kw_only=True)
class EpisodeSampler:
    """Draw episode i of a stream, whatever was drawn before, by whichever process.

    Attributes:
        source: where tasks come from.
        split: "train", "val" or "test".
        stream: TRAIN, MONITOR or TEST.
        seed: the run's seed, below 2**60.
        ways, shots, query_shots: the task's size; shots and query_shots are counts a class.
        steps, batch_size, replacement: its mini-batches.
    """

    source: TaskSource
    split: str
    stream: int
    seed: int
    ways: int
    shots: int
    query_shots: int
    steps: int
    batch_size: int
    replacement: bool = False
    bits: np.random.Philox = field(
        default_factory=lambda: np.random.Philox(key=0), init=False, repr=False, compare=False
    )

    def __getitem__(self, index: int) -> Episode:
        return Episode(*(torch.as_tensor(field) for field in self.fields(index)))

    def fields(self, index: int) -> tuple[np.ndarray, ...]:
        """Return the fields of an episode as they are drawn."""
        key = np.array([self.seed * 4 + self.stream, index], dtype=np.uint64)
        self.bits.state = {**FRESH, "state": {"counter": np.zeros(4, np.uint64), "key": key}}
        rng = np.random.Generator(self.bits)
        task = self.source.draw(self.split, rng, self.ways, self.shots, self.query_shots)
        draw_order = replacement_minibatches if self.replacement else cycle_minibatches
        order = draw_order(len(task.support_x), self.batch_size, self.steps, rng)
        return (*task, order, np.asarray(rng.integers(2**63)))


@dataclass(frozen=True)
class MetaBatches(Dataset[Episode]):
    """Stack consecutive episodes: batch j holds episodes j n .. j n + n - 1, a rank its share of them."""

    sampler: EpisodeSampler
    episodes: int
    size: int
    rank: int = 0
    ranks: int = 1

    def __len__(self) -> int:
        return -(-self.episodes // self.size)

    def __getitem__(self, index: int) -> Episode:
        end = min((index + 1) * self.size, self.episodes)
        mine = range(index * self.size + self.rank, end, self.ranks)
        drawn = [self.sampler.fields(i) for i in mine]
        return Episode(*(torch.from_numpy(stack(arrays)) for arrays in zip(*drawn, strict=True)))


def stack(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return np.stack of some arrays, at a third of its cost for small ones."""
    if not arrays[0].ndim:
        return np.array(arrays)
    return np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape)


class EpisodeLoader:
    """Iterate over meta-batches from a given one on, so that a resumed run sees what it missed."""

    def __init__(
        self, batches: MetaBatches, *, start: int = 0, workers: int = 0, pin_memory: bool = False
    ) -> None:
        self.batches, self.start = batches, start
        self.workers, self.pin_memory = workers, pin_memory

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Episode]:
        if not (
            self.workers or self.pin_memory
        ):  # a DataLoader would only add a tenth of a millisecond
            return map(self.batches.__getitem__, range(self.start, len(self)))
        return iter(
            DataLoader(
                self.batches,
                batch_size=None,
                sampler=range(self.start, len(self)),
                num_workers=self.workers,
                pin_memory=self.pin_memory,
            )
        )
