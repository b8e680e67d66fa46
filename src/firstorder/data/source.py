"""What every source of tasks offers, whether its tasks are images or sine waves."""

from typing import NamedTuple, Protocol

import numpy as np

from firstorder.task.base import TaskKind


class TaskSizeError(ValueError):
    """Say that a split cannot give tasks of the size that is asked for."""


class TooFewImages(TaskSizeError):
    """Say that a task takes more images of a class than it has.

    A source does not know which setting asked for so many; `EpisodeSampler`, which does, adds it to
    the sentence.
    """


class Task(NamedTuple):
    """One task as a source draws it; see `Episode` for the shapes."""

    support_x: np.ndarray
    support_y: np.ndarray
    query_x: np.ndarray
    query_y: np.ndarray


class Draws(Protocol):
    """Draw tasks, as a pure function of the random generator that is handed in."""

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        """Draw one task: `ways` classes, `shots` support and `query_shots` query images of each.

        Raises:
            TaskSizeError: the split is too small for that.
        """
        ...


class TaskSource(Draws, Protocol):
    """Draw tasks of a split, as a pure function of the random generator that is handed in.

    Attributes:
        name: the name in results and tables.
        kind: what kind of tasks they are, see `firstorder.task`. It is the class's, so that a checkpoint
            can be used without its data; where settings decide it, the class has a static method
            `kind_of(settings)`.
        input_shape: shape of one input, such as (1, 28, 28) for channels, height and width. It follows
            from the settings and is known before any data are read, so that a network can be sized;
            None until `setup` where only the data can tell.
        fingerprint: hex digest of the data, so that a result says which copy it came from.
            A source of regression tasks also has `output_shape`, that of a target.
            One that knows something of its training which a later evaluation needs has `state_dict` and
            `load_state_dict`; units are in it as `firstorder.data.scale` has them.
        classes: number of classes in "train", "val" and "test", or of tasks where a task is not made of
            classes; empty where all splits are alike. "val" is 0 where there are none to validate on.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> TaskKind: ...

    @property
    def input_shape(self) -> tuple[int, ...] | None: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def classes(self) -> dict[str, int]: ...

    def prepare(self) -> None:
        """Fetch what is missing and build the cache; safe in several processes at once."""

    def setup(self) -> None:
        """Open what was prepared; called in every process."""
