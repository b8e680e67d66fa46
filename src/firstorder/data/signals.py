"""Signals over an interval, the smallest fields: sums of sines that share a spectrum."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from firstorder.data.sinusoid import draw_points
from firstorder.data.source import Task
from firstorder.settings import Width, check_fields
from firstorder.task.base import TaskKind
from firstorder.task.field import Field


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Draw tasks f(x) = 1/2 + c sum_j a_j sin(pi j x + b_j) / j, j = 1..J, for x in [-1, 1].

    a_j ~ N(0, 1), b_j ~ U[0, 2 pi], and c makes the largest deviation from 1/2 on the grid 0.45, so that
    values lie in [0, 1]. Shots are random points of one signal; the query points are random in training
    and equally spaced in evaluation.

    Attributes:
        waves: J, the highest number of periods.
    """

    waves: Width = 8

    name: ClassVar[str] = "signals"
    kind: ClassVar[TaskKind] = Field()
    input_shape: ClassVar[tuple[int, ...]] = (1,)
    output_shape: ClassVar[tuple[int, ...]] = (1,)
    classes: ClassVar[dict[str, int]] = {}

    def __post_init__(self) -> None:
        check_fields(self, "data.source")

    @property
    def fingerprint(self) -> str:
        """What decides the signals."""
        return f"signals of {self.waves} waves, a~N(0,1) b~U[0,2pi] x~U[-1,1]"

    def prepare(self) -> None:
        """Do nothing: a signal needs no preparation."""

    def setup(self) -> None:
        """Do nothing: there is nothing to open."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        if ways != 1:
            raise ValueError(f"data.ways={ways}: a signal is one function, set data.ways=1")
        j = np.arange(1, self.waves + 1)
        height, phase = rng.standard_normal(self.waves) / j, rng.uniform(0, 2 * np.pi, self.waves)
        x, query_x = draw_points(rng, 1.0, split, shots, query_shots)

        def wave(x: np.ndarray) -> np.ndarray:
            return np.asarray((height * np.sin(np.pi * j * x + phase)).sum(1, keepdims=True))

        scale = 0.45 / np.abs(wave(np.linspace(-1, 1, 401)[:, None])).max()

        def signal(x: np.ndarray) -> np.ndarray:
            return np.clip(0.5 + scale * wave(x), 0, 1).astype(np.float32)

        return Task(x, signal(x), query_x, signal(query_x))
