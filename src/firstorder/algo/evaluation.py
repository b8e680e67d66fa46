"""Fine-tune on the support set of an episode, then predict its query set."""

from dataclasses import dataclass

import torch
from torch import Tensor

from firstorder.inner_loop import Loss, adapt, for_tasks
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.network import Network, predict
from firstorder.settings import Count, CountOrZero, StepSize, check_fields
from firstorder.task.episode import Episode
from firstorder.task.loss import OverTasks

PROTOCOLS = {"classification": ("transductive", "non_transductive"), "regression": ("mse",)}


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

    tasks: Count = 400
    inner_steps: Count = 50
    inner_batch_size: Count = 5
    inner_lr: StepSize | None = None
    query_shots: Count = 1
    monitor_tasks: Count = 20
    monitor_every: CountOrZero = 500
    batch: Count = 20
    parallel: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "eval")


def predict_transductively(network: Network, phi: Tensor, tasks: Episode) -> Tensor:
    """Return the outputs for the query sets, (tasks, m, ...): its images share batch statistics."""
    return predict(network, phi, tasks.query_x)


def predict_one_by_one(network: Network, phi: Tensor, tasks: Episode) -> Tensor:
    """Return the outputs for the query sets, (tasks, m, ...), each image in a pass of its own.

    A pass holds all support images and the one query image (Section 6.1), so that no query image
    sees another through batch norm.
    """
    passes = (torch.cat([tasks.support_x, one], 1) for one in tasks.query_x.split(1, dim=1))
    return torch.stack([predict(network, phi, x)[:, -1] for x in passes], 1)


def score(network: Network, kind: str, adapted: Tensor, tasks: Episode) -> dict[str, Tensor]:
    """Score the query sets under every protocol, with the weights, (tasks, d), adapted to each task.

    Returns:
        for classification, the accuracies "transductive" and "non_transductive", fractions; for
        regression the mean squared error "mse". All (tasks,).
    """
    together = predict_transductively(network, adapted, tasks)
    if kind == "regression":
        return {"mse": (together - tasks.query_y).square().flatten(1).mean(1)}
    alone = predict_one_by_one(network, adapted, tasks)

    def accuracy(logits: Tensor) -> Tensor:
        return (logits.argmax(-1) == tasks.query_y).float().mean(1)

    return {"transductive": accuracy(together), "non_transductive": accuracy(alone)}


def evaluate_tasks(
    network: Network, kind: str, loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State,
    tasks: Episode,
) -> dict[str, Tensor]:  # fmt: skip
    """Adapt to a batch of tasks at once, each from the same phi and state, and score them; (tasks,)."""
    start = for_tasks(phi, state, len(tasks.support_x))
    adapted, _ = adapt(OverTasks(loss), optimizer, *start, tasks.support_batches())
    return score(network, kind, adapted, tasks)
