"""One-dimensional sine waves (Section 4)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstorder.data.source import Task
from firstorder.task.base import TaskKind
from firstorder.task.regression import Regression


@dataclass(frozen=True, kw_only=True)
class Sinusoid:
    """Draw regression tasks f(x) = a sin(x + b), a ~ U[0.1, 5], b ~ U[0, 2 pi], x ~ U[-5, 5].

    Shots are points of the wave, and there is one way. The query points are random in training; in
    evaluation they are equally spaced over the interval, the paper's 50 points for the integral of
    Eq. 8.
    """

    name: ClassVar[str] = "sinusoid"
    kind: ClassVar[TaskKind] = Regression()
    input_shape: ClassVar[tuple[int, ...]] = (1,)
    classes: ClassVar[dict[str, int]] = {}
    output_shape: ClassVar[tuple[int, ...]] = (1,)
    fingerprint: ClassVar[str] = "a~U[0.1,5] b~U[0,2pi] x~U[-5,5]"

    def prepare(self) -> None:
        """Do nothing: a wave needs no preparation."""

    def setup(self) -> None:
        """Do nothing: there is nothing to open."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways != 1:
            raise ValueError(f"data.ways={ways}: a sine wave is one function, set data.ways=1")
        amplitude, phase = rng.uniform(0.1, 5.0), rng.uniform(0.0, 2 * np.pi)
        support_x, query_x = draw_points(rng, 5.0, split, shots, query_shots)

        def wave(x: np.ndarray) -> np.ndarray:
            return (amplitude * np.sin(x + phase)).astype(np.float32)

        return Task(support_x, wave(support_x), query_x, wave(query_x))


def draw_points(
    rng: np.random.Generator, end: float, split: str, shots: int, query_shots: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw x ~ U[-end, end]: (shots, 1) support and (query_shots, 1) query points.

    Query points are drawn in training, and equally spaced in evaluation.
    """
    support_x = rng.uniform(-end, end, (shots, 1)).astype(np.float32)
    if split == "train":
        query_x = rng.uniform(-end, end, (query_shots, 1)).astype(np.float32)
    else:
        query_x = np.linspace(-end, end, query_shots, dtype=np.float32)[:, None]
    return support_x, query_x
