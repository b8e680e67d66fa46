"""Shift and scale numbers to mean 0 and deviation 1."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np


class Scale(NamedTuple):
    """Each number's mean and deviation, (...) float64; a deviation of 1 where it never changes."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, arrays: Sequence[np.ndarray]) -> Self:
        """Measure them over many arrays of examples, (n, ...) each."""
        everything = np.concatenate(arrays).astype(np.float64)
        changes = everything.max(0) > everything.min(0)
        return cls(everything.mean(0), np.where(changes, everything.std(0), 1.0))

    def scaled(self, array: np.ndarray) -> np.ndarray:
        """Shift and scale examples; to float32, but not before."""
        return ((array - self.mean) / self.deviation).astype(np.float32)
