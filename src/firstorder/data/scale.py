"""Shift and scale numbers to mean 0 and deviation 1."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

SCALES = "scales"


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

    def unscaled(self, array: np.ndarray) -> np.ndarray:
        """Return scaled examples in their own units, float64."""
        return array * self.deviation + self.mean


Scales = Mapping[str, Scale]  # of inputs, "x", and of targets, "y"; none where they are as given


def state_of(scales: Scales) -> dict[str, Any]:
    """Return the state of data with these scales, as a checkpoint holds it."""
    return {SCALES: {name: [*map(torch.from_numpy, scale)] for name, scale in scales.items()}}


def scales_in(state: Mapping[str, Any]) -> Scales:
    """Return the scales in a state of data; none where it has none."""
    saved: Mapping[str, Sequence[Tensor]] = state.get(SCALES, {})
    return {name: Scale(*(one.numpy() for one in scale)) for name, scale in saved.items()}
