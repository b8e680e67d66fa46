"""What a source of tasks offers, whether its tasks are images or sine waves."""

from typing import NamedTuple, Protocol

import numpy as np


class Task(NamedTuple):
    """Hold what a source draws for one task; see `Episode` for the shapes."""

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


class TaskSource(Protocol):
    """Draw tasks of a split, as a pure function of the generator that is handed in.

    Attributes:
        name: the name in results and tables.
        kind: "classification" or "regression".
        fingerprint: hex digest of the data, so that a result says which copy it came from.
        classes: number of classes in each split; empty for regression.
        input_shape: shape of one input, told by the settings before any data are read; None where
            they do not tell. A source of regression tasks also has `output_shape`, that of a target.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def classes(self) -> dict[str, int]: ...

    @property
    def input_shape(self) -> tuple[int, ...] | None: ...

    def prepare(self) -> None:
        """Fetch what is missing and build the cache; safe in several processes at once."""

    def setup(self) -> None:
        """Open what was prepared; called in every process."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task: `ways` classes, `shots` support and `query_shots` query images of each."""
        ...
