"""The scores of single tasks: collected over batches and ranks, and kept in scores.npz."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from firstorder.run.atomic import replacing


class TaskScores(NamedTuple):
    """What each task of an evaluation scored, in the order of the tasks.

    Attributes:
        task: numbers of the tasks in their stream, (tasks,), ascending.
        scores: by protocol, (tasks,).
        diverged: whether the inner loop diverged on a task, or a metric by name is undefined there,
            (tasks,); it then counts with the score of a guess (accuracy) or with the worst there is.
    """

    task: Tensor
    scores: dict[str, Tensor]
    diverged: Tensor


class CollectScores(Metric):
    """Collect the scores of tasks, whichever batch and rank they were in, NaN and infinity included.

    torchmetrics' own CatMetric drops NaN.

    Args:
        protocols: names of the scores.
    """

    full_state_update = False
    rows: list[Tensor] | Tensor

    def __init__(self, protocols: Iterable[str]) -> None:
        super().__init__()
        self.protocols = tuple(protocols)
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, task: Iterable[int], scores: Mapping[str, Tensor], diverged: Tensor) -> None:
        """Take the numbers of a batch of tasks and their scores, (tasks,) each, by protocol."""
        assert isinstance(self.rows, list)
        numbers = torch.tensor(list(task), device=diverged.device)
        columns = [numbers, diverged, *(scores[name] for name in self.protocols)]
        self.rows.append(torch.stack([column.double() for column in columns], 1))

    def compute(self) -> Tensor:
        """Return a row a task of all ranks: its number, whether it diverged, its scores."""
        return self.rows if isinstance(self.rows, Tensor) else torch.cat(self.rows)

    def collected(self) -> TaskScores:
        """Return what all tasks scored since the last call."""
        if not len(self.rows):  # this rank had no task
            nothing = torch.empty(0, device=self.device)
            self.update([], dict.fromkeys(self.protocols, nothing), nothing)
        rows = self.compute().cpu()
        self.reset()
        task, diverged, *scores = rows[rows[:, 0].argsort()].unbind(1)
        named = {name: s.float() for name, s in zip(self.protocols, scores, strict=True)}
        return TaskScores(task.long(), named, diverged.bool())


def write_scores(path: Path, task_scores: TaskScores) -> None:
    """Write arrays "task", "diverged" and one for each protocol, a value a task."""
    arrays = {
        name: values.numpy().astype(np.float32) for name, values in task_scores.scores.items()
    }
    arrays["diverged"] = task_scores.diverged.numpy().astype(np.uint8)
    with replacing(path) as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            task=task_scores.task.numpy().astype(np.uint32),
            **arrays,
        )


def read_scores(path: Path) -> TaskScores:
    """Read what `write_scores` has written.

    Raises:
        ValueError: the file holds something else.
    """
    with np.load(path, allow_pickle=False) as file:
        if not {"task", "diverged"} <= set(file.files):
            raise ValueError(f"{path} does not hold the scores of a run")
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}
    task, diverged = arrays.pop("task").long(), arrays.pop("diverged").bool()
    return TaskScores(task, arrays, diverged)
