from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from firstorder.algo import FOMAML
from firstorder.algo.base import Context
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.source import Task
from firstorder.inner_loop import adapt
from firstorder.task.base import TaskKind
from firstorder.task.classification import Classification
from firstorder.task.episode import Episode

SETTINGS: dict[str, Any] = {"inner_steps": 3, "inner_batch_size": 4, "inner_lr": 0.05}
PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
X = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCHES = [(x, x.sum(1).sin()) for x in X]


@dataclass(frozen=True)
class Numbered:
    """Give out the numbers of a task's samples in place of images."""

    name: ClassVar[str] = "numbered"
    kind: ClassVar[TaskKind] = Classification()
    classes: ClassVar[dict[str, int]] = {"train": 9, "val": 9, "test": 9}
    fingerprint: ClassVar[str] = ""

    def prepare(self) -> None: ...

    def setup(self) -> None: ...

    def draw(
        self, split: str, rng: np.random.Generator, ways: int, shots: int, query_shots: int
    ) -> Task:
        n, m = ways * shots, ways * query_shots
        x, y = np.arange(n + m, dtype=np.float32)[:, None], np.zeros(n + m, dtype=np.int64)
        return Task(x[:n], y[:n], x[n:], y[n:])


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def training_tasks(algorithm: FOMAML) -> Iterator[Episode]:
    """Yield tasks of 5 ways and 10 images a class, cut as the algorithm asks."""
    module = EpisodeDataModule(
        Numbered(), algorithm, EvaluationSettings(), seed=0, ways=5, shots=5, train_shots=10,
        outer_steps=1,
    )  # fmt: skip
    sampler = module.training_sampler()
    return (sampler[index] for index in range(10))


def numbers(task: Episode) -> list[list[int]]:
    return [x.flatten().int().tolist() for x, _ in list(task.batches())]


def test_the_update_is_the_last_inner_step() -> None:
    fomaml = FOMAML(**SETTINGS)
    state = fomaml.optimizer.init(PHI)
    before, between = adapt(loss, fomaml.optimizer, PHI, state, BATCHES[:2])
    after, _ = adapt(loss, fomaml.optimizer, before, between, BATCHES[2:])
    assert torch.equal(
        fomaml.meta_gradient(loss, {"phi": PHI}, state, BATCHES, Context()).direction["phi"],
        before - after,
    )


@pytest.mark.parametrize("replacement", [False, True])
def test_a_separate_tail_is_one_last_mini_batch_of_images_of_its_own(replacement: bool) -> None:
    fomaml = FOMAML(
        inner_steps=5, inner_batch_size=10, inner_lr=1e-3, tail_shots=4, replacement=replacement
    )
    for task in training_tasks(fomaml):
        *before, tail = numbers(task)
        assert [len(batch) for batch in before] == [10] * 4
        assert len(tail) == 4 * 5
        assert not set(tail) & {number for batch in before for number in batch}


def test_a_shared_tail_that_cycles_overlaps_once_the_images_run_out() -> None:
    """Section 6.3: 5 mini-batches of 10 use up 50 images, the sixth has been seen."""
    for k, seen in (5, 0), (6, 10):
        fomaml = FOMAML(inner_steps=k, inner_batch_size=10, inner_lr=1e-3)
        for task in training_tasks(fomaml):
            *before, tail = numbers(task)
            assert len(set(tail) & {number for batch in before for number in batch}) == seen


def test_a_shared_tail_with_replacement_overlaps_by_chance() -> None:
    fomaml = FOMAML(inner_steps=5, inner_batch_size=10, inner_lr=1e-3, replacement=True)
    seen = set()
    for task in training_tasks(fomaml):
        *before, tail = numbers(task)
        seen.add(len(set(tail) & {number for batch in before for number in batch}))
    assert len(seen) > 1


def test_one_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"algo.inner_steps=1: FOMAML .* at least 2"):
        FOMAML(**{**SETTINGS, "inner_steps": 1})
