"""What a task asks for: the loss that its learner descends."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor
from torch.func import vmap

from firstorder.inner_loop import Loss
from firstorder.network import Network

Criterion = Callable[[Tensor, Tensor], Tensor]  # (prediction, target) -> (n,) losses


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of each example, (n,), from logits, (n, ways), in nats."""
    return F.cross_entropy(logits, labels, reduction="none")


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the squared error of each example, (n,), summed over the outputs (Eq. 8)."""
    return (prediction - target).square().flatten(1).sum(1)


CRITERIA: dict[str, Criterion] = {"classification": cross_entropy, "regression": squared_error}


@dataclass(frozen=True)
class TaskLoss:
    """Be L(phi, x, y), the sum or the mean over a mini-batch.

    The authors' code differentiates the *sum*, so that under SGD the published inner learning rates
    stand for steps that grow with the batch; under Adam it hardly matters.
    """

    network: Network
    criterion: Criterion
    reduction: str

    def __call__(self, phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        losses = self.criterion(self.network(phi, x), y)
        return losses.sum() if self.reduction == "sum" else losses.mean()


@dataclass(frozen=True)
class OverTasks:
    """Be the sum of many tasks' losses: weights, inputs and labels have a leading axis of tasks.

    Each task's loss depends on its own row of weights: the gradient, (tasks, d), holds each task's own.
    """

    loss: Loss

    def __call__(self, phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return vmap(self.loss)(phi, x, y).sum()
