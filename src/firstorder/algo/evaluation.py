"""Fine-tune on the support set of an episode, then predict its query set."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from firstorder.algo.base import Context, MetaAlgorithm, task_noise
from firstorder.inner_loop import repeat_for_tasks, trajectory
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta
from firstorder.settings import Count, CountOrZero, StepSize, check_fields
from firstorder.task.base import Example, Scores, TaskKind
from firstorder.task.episode import Episode
from firstorder.task.loss import SumOverTasks, TaskLoss


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Say how tasks are adapted to and counted at evaluation.

    Attributes:
        tasks: episodes of the final test; the paper's tables take 10,000.
        inner_steps: gradient steps on the support set.
        inner_batch_size: images of a mini-batch.
        inner_lr: step size, that of training where None.
        query_shots: query images a class; the paper's tables take 1.
        monitor_tasks: episodes of one validation while training.
        monitor_every: outer iterations between two validations; 0 for none.
        monitor_split: where validation tasks come from: "auto" is the validation split, or the training
            classes where a data set has none; "test" is for learning curves of test accuracy (Figure 3).
        train_tasks: tasks of the training classes that are evaluated as the test tasks are, so that
            results.json can say how far training and test lie apart; 0 for none.
        shared_head: start with every row of the last layer replaced by the mean of the rows, so that all
            classes start alike (Ye and Chao 2022).
        permutations: adapt with the rows of the last layer in so many orders, and average the
            probabilities that come out, in scores only; 1 for the order that was learnt.
        curve_tasks: test tasks on which the adaptation curve, score against inner steps, is measured.
        batch: episodes handed over at once, to each rank; no number depends on it.
        parallel: adapt to those of a batch at once: much faster for small networks.
    """

    tasks: Count = 400
    inner_steps: Count = 50
    inner_batch_size: Count = 5
    inner_lr: StepSize | None = None
    query_shots: Count = 1
    monitor_tasks: Count = 20
    monitor_every: CountOrZero = 500
    monitor_split: Literal["auto", "val", "train", "test"] = "auto"
    train_tasks: CountOrZero = 100
    shared_head: bool = False
    permutations: Count = 1
    curve_tasks: CountOrZero = 100
    batch: Count = 20
    parallel: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "eval")


def curve_steps(inner_steps: int) -> list[int]:
    """Return the numbers of inner steps at which an adaptation curve is measured, from 0 to all."""
    return sorted({0, inner_steps, *(n for n in (1, 2, 5, 10, 20, 50, 100) if n < inner_steps)})


@dataclass(frozen=True)
class Evaluator:
    """Adapt to tasks as evaluation does, and score the query sets.

    Attributes:
        algorithm: adapts, with evaluation's inner step size.
        kind: scores.
        loss: what the inner loop descends.
        at_once: adapt to all tasks of a batch at once; the same scores, at another speed.
        shared_head, permutations: as in `EvaluationSettings`.

    Raises:
        ValueError: tasks of this kind have no classes to permute, or there is one output to share.
    """

    algorithm: MetaAlgorithm
    kind: TaskKind
    loss: TaskLoss
    at_once: bool = True
    shared_head: bool = False
    permutations: int = 1

    def __post_init__(self) -> None:
        if self.permutations > 1:
            self.kind.must_permute()
        if self.shared_head and self.loss.network.layout.outputs == 1:
            raise ValueError(
                "eval.shared_head=true starts all outputs of the network alike, and it has one: leave it"
                " out"
            )

    @property
    def context(self) -> Context:
        """Of the network; evaluation is no part of training's progress."""
        network = self.loss.network
        return Context(network.layout, network.is_random)

    def adapt(self, meta: Meta, state: State, task: Episode) -> Tensor:
        """Return the weights, (d,), that the inner loop reaches on one task of floats."""
        with task_noise(self.context, task.noise_seed):
            meta, state = next(self._starts(meta, state))
            batches = task.support_batches()
            return self.algorithm.adapt(self.loss, meta, state, batches, self.context)[0]

    def score(
        self, meta: Meta, state: State, tasks: Episode, steps: int | None = None
    ) -> tuple[Scores, Tensor]:
        """Score each task of a batch, every one adapted to from the same meta-parameters and state.

        Args:
            meta, state: of the learner.
            tasks: a batch of them, in floating point.
            steps: inner steps to take; as many as the tasks have mini-batches where None.

        Returns:
            the scores of each protocol, (tasks,), and whether each task diverged, (tasks,): it then
            counts with the kind's score of a diverged task.
        """
        # A random network's tasks draw from their own seeds, so they are taken one by one.
        together = self.at_once and not self.loss.network.is_random
        parts = zip(*(f.split(len(f) if together else 1) for f in tasks), strict=True)
        each = [self._score(meta, state, Episode(*part), steps) for part in parts]
        scores = {name: torch.cat([one[name] for one in each]) for name in self.kind.protocols}
        diverged = torch.stack([values.isnan() for values in scores.values()]).any(0)
        instead = self.kind.score_if_diverged(tasks)
        return {k: torch.where(v.isnan(), instead, v) for k, v in scores.items()}, diverged

    def _score(self, meta: Meta, state: State, tasks: Episode, steps: int | None) -> Scores:
        """Adapt to tasks at once, as rows, and score them, NaN where a task diverged."""
        number = len(tasks.support_x)
        loss = SumOverTasks(self.loss)
        weights = []
        for start, left in self._starts(meta, state):
            meta, state = repeat_for_tasks(start, number), repeat_for_tasks(left, number)
            with task_noise(self.context, tasks.noise_seed[0]):
                batches = islice(tasks.support_batches(), steps)
                weights.append(self.algorithm.adapt(loss, meta, state, batches, self.context)[0])
        if len(weights) > 1:
            return self.kind.score_together(self.loss.network, weights, tasks)
        return self.kind.score(self.loss.network, weights[0], tasks)

    def _starts(self, meta: Meta, state: State) -> Iterator[tuple[Meta, State]]:
        """Yield what a task is adapted to from, once for each order of the last layer's rows."""
        layout = self.loss.network.layout
        size = sum(layout.sizes)

        def changed(values: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
            return change(values) if values.shape[-1:] == (size,) else values

        if self.shared_head:
            meta, state = tree_map(partial(changed, change=layout.with_shared_head), (meta, state))
        for number in range(self.permutations):
            if not number:
                yield meta, state
                continue
            generator = torch.Generator().manual_seed(number)
            order = torch.randperm(layout.outputs, generator=generator)
            turn = partial(layout.with_permuted_head, order=order)
            yield tree_map(partial(changed, change=turn), (meta, state))

    def example(self, task: Episode, starts: Mapping[str, tuple[Meta, State | None]]) -> Example:
        """Adapt to a task of floats step by step, for a picture.

        Args:
            task: a single one.
            starts: by name, meta-parameters and inner state to start from; a fresh state where None.
        """
        weights = {}
        for name, (meta, given) in starts.items():
            meta, state = next(self._starts(meta, given or ()))
            loop = self.algorithm.inner(self.loss, meta, self.context)
            state = loop.optimizer.init(loop.phi) if given is None else state
            with task_noise(self.context, task.noise_seed):
                steps = list(trajectory(*loop, state, task.support_batches()))
            weights[name] = [loop.phi, *(step.phi for step in steps)]
        return Example(task, self.loss.network, weights)
