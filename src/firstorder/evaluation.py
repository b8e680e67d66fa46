"""Fine-tune on the support set of an episode, then predict its query set."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map

from firstorder.data.episode import Episode
from firstorder.inner_loop import InnerOptimizer, Loss, State, adapt
from firstorder.network import Network
from firstorder.objective import OverTasks

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


def predict_transductively(network: Network, phi: Tensor, task: Episode) -> Tensor:
    """Return the outputs for the query set in one pass, (m, ...): its images share batch statistics."""
    return network(phi, task.query_x)


def predict_one_by_one(network: Network, phi: Tensor, task: Episode) -> Tensor:
    """Return the outputs for the query set, (m, ...), each image in a pass of its own.

    A pass holds all support images and the one query image (Section 6.1), so that no query image
    sees another through batch norm.
    """

    def last_output(query: Tensor) -> Tensor:
        return network(phi, torch.cat([task.support_x, query[None]]))[-1]

    return vmap(last_output)(task.query_x)


def score(network: Network, kind: str, adapted: Tensor, task: Episode) -> dict[str, Tensor]:
    """Score the query set under every protocol, with the weights that a task was adapted to.

    Returns:
        for classification, the accuracies "transductive" and "non_transductive", fractions; for
        regression the mean squared error "mse". Scalars all.
    """
    together = predict_transductively(network, adapted, task)
    if kind == "regression":
        return {"mse": (together - task.query_y).square().mean()}
    alone = predict_one_by_one(network, adapted, task)

    def accuracy(logits: Tensor) -> Tensor:
        return (logits.argmax(-1) == task.query_y).float().mean()

    return {"transductive": accuracy(together), "non_transductive": accuracy(alone)}


def evaluate_task(
    network: Network, kind: str, loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State,
    task: Episode,
) -> dict[str, Tensor]:  # fmt: skip
    """Adapt to one task, then score it."""
    adapted, _ = adapt(loss, optimizer, phi, state, task.support_batches())
    return score(network, kind, adapted, task)


def evaluate_tasks(
    network: Network, kind: str, loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State,
    tasks: Episode,
) -> dict[str, Tensor]:  # fmt: skip
    """Adapt to a batch of tasks at once, each from the same phi and state; return (tasks,) scores.

    The tasks' weights are the rows of one matrix, (tasks, d), and so are the optimiser's moments: a step
    on all of them is one step of the inner loop.
    """
    number = len(tasks.support_x)

    def rows(vector: Tensor) -> Tensor:
        return vector.expand(number, -1) if vector.dim() else vector  # steps are counted once

    batches = vmap(lambda task: Episode(*task).support_batches())(tuple(tasks))
    adapted, _ = adapt(OverTasks(loss), optimizer, rows(phi), tree_map(rows, state), batches)
    return vmap(lambda phi, task: score(network, kind, phi, Episode(*task)))(adapted, tuple(tasks))
