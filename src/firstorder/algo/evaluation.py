"""Fine-tune on the support set of an episode, then predict its query set."""

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from firstorder.algo.base import Context, MetaAlgorithm, task_noise
from firstorder.inner_loop import repeat_for_tasks
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta
from firstorder.task.base import Scores, TaskKind
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
        monitor_tasks: episodes of one look while training.
        monitor_every: outer iterations between two looks; 0 for none.
        batch: episodes handed over at once; no number depends on it.
        parallel: adapt to those of a batch at once: much faster for small networks.
    """

    tasks: int = 400
    inner_steps: int = 50
    inner_batch_size: int = 5
    inner_lr: float | None = None
    query_shots: int = 1
    monitor_tasks: int = 20
    monitor_every: int = 500
    batch: int = 20
    parallel: bool = True

    def __post_init__(self) -> None:
        for name in ("tasks", "inner_steps", "inner_batch_size", "query_shots", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"eval.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("monitor_tasks", "monitor_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"eval.{name} must be 0 or more, not {getattr(self, name)}")


def curve_steps(inner_steps: int) -> list[int]:
    """Return the numbers of inner steps at which an adaptation curve is measured, from 0 to all."""
    return sorted({0, inner_steps, *(n for n in (1, 2, 5, 10, 20, 50, 100) if n < inner_steps)})


def evaluate_tasks(
    algorithm: MetaAlgorithm,
    kind: TaskKind,
    loss: TaskLoss,
    meta: Meta,
    state: State,
    tasks: Episode,
    context: Context,
    steps: int | None = None,
) -> tuple[Scores, Tensor]:
    """Adapt to a batch of tasks at once, each from the same meta-parameters and state, and score them.

    Args:
        algorithm, kind, loss, meta, state, context: of the learner.
        tasks: a batch of them, in floating point.
        steps: inner steps to take; as many as the tasks have mini-batches where None.

    Returns:
        the scores of each protocol, (tasks,), and whether each task diverged, (tasks,): it then counts
        with the kind's score of a diverged task.
    """
    number = len(tasks.support_x)
    start = repeat_for_tasks(meta, number), repeat_for_tasks(state, number)
    with task_noise(context, tasks.noise_seed[0]):
        batches = islice(tasks.support_batches(), steps)
        adapted, _ = algorithm.adapt(SumOverTasks(loss), *start, batches, context)
    scores = kind.score(loss.network, adapted, tasks)
    diverged = torch.stack([values.isnan() for values in scores.values()]).any(0)
    instead = kind.score_if_diverged(tasks)
    counted = {name: torch.where(score.isnan(), instead, score) for name, score in scores.items()}
    return counted, diverged
