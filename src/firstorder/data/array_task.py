"""One task of arrays: what makes it usable, and in which split it lands where nothing says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from firstorder.data.scale import Scale

SPLITS = ("train", "val", "test")
LARGEST = np.finfo(np.float32).max


@dataclass(frozen=True)
class ArrayTask:
    """One task.

    Attributes:
        name: the file, or the group.
        x: inputs, (n, ...): uint8, or floats, as precise as they were stored; one number an example is
            (n, 1).
        y: targets: (n, outputs) floats, as precise, or (n,) int64 classes.
    """

    name: str
    x: np.ndarray
    y: np.ndarray

    @property
    def size(self) -> int:
        """Examples."""
        return len(self.x)

    def with_classes(self) -> Self:
        """Return the task with its targets as classes.

        Raises:
            ValueError: they are not whole numbers from 0 on.
        """
        y = self.y
        if y.shape[1] != 1 or (y != np.floor(y)).any() or y.min() < 0 or y.max() >= 2**31:
            raise ValueError(
                f"y of {self.name} must hold classes: a whole number from 0 an example"
            )
        return replace(self, y=y[:, 0].astype(np.int64))

    def scaled(self, scales: Mapping[str, Scale]) -> Self:
        """Return the task with each array that has a scale, "x" or "y", in its units."""
        arrays: dict[str, Any] = {k: scale.scaled(getattr(self, k)) for k, scale in scales.items()}
        return replace(self, **arrays)

    def in_float32(self) -> Self:
        """Return the task with its floats as networks take them."""
        return replace(self, x=in_float32(self.x), y=in_float32(self.y))


@dataclass(frozen=True)
class HowToRead:
    """Say which columns of a table mean what, and how tasks are split where nothing else says it.

    Attributes:
        group, targets: columns.
        ratios: shares of the splits.
        seed: of the split.
    """

    group: str | None
    targets: tuple[str, ...]
    ratios: tuple[float, ...]
    seed: int


def task_of(name: str, x: np.ndarray, y: np.ndarray) -> ArrayTask:
    """Make a task of arrays as somebody has stored them.

    Raises:
        ValueError: they are not numbers that float32 holds, or not of one length.
    """
    for letter, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{letter} of {name} holds {array.dtype}, not numbers")
        if not array.size or not array.ndim:
            raise ValueError(
                f"{letter} of {name} has the shape {array.shape}: it must hold one number an example or"
                " more, (n, ...)"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{letter} of {name} holds numbers that are missing or not finite")
        if array.dtype.kind == "f" and (np.abs(array) > LARGEST).any():
            raise ValueError(
                f"{letter} of {name} holds numbers beyond {LARGEST:.1e}, which are too large for a"
                " network: use a larger unit"
            )
    if len(x) != len(y):
        raise ValueError(f"x and y of {name} must hold as many examples, not {len(x)} and {len(y)}")
    x = x[:, None] if x.ndim == 1 else x
    return ArrayTask(name, x if x.dtype == np.uint8 else floats(x), floats(y).reshape(len(y), -1))


def floats(array: np.ndarray) -> np.ndarray:
    """Return numbers as float32, or as float64 where that would lose digits."""
    return array.astype(np.result_type(array, np.float32), copy=False)


def in_float32(array: np.ndarray) -> np.ndarray:
    """Return floats as float32, and bytes and classes as they are."""
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def split_at_random(names: Sequence[str], how: HowToRead) -> dict[str, list[str]]:
    """Deal names out to the splits by shares, the same for the same names and seed."""
    order = np.random.default_rng(how.seed).permutation(sorted(names)).tolist()
    ends = np.rint(np.cumsum([0, *how.ratios]) / sum(how.ratios) * len(order)).astype(int)
    return {s: sorted(order[ends[i] : ends[i + 1]]) for i, s in enumerate(SPLITS)}
