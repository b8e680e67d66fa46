"""The loss that a learner descends on a task, as a pure function of phi."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.func import vmap

from firstorder.inner_loop import Loss
from firstorder.network import Network

Criterion = Callable[[Tensor, Tensor], Tensor]  # (prediction, target) -> (n,) losses


@dataclass(frozen=True)
class TaskLoss:
    """Loss of one mini-batch, L(phi, x, y): the sum or the mean over its examples.

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
class SumOverTasks:
    """Sum of many tasks' losses: weights, inputs and labels have a leading axis of tasks.

    Each task's loss depends on its own row of weights: the gradient, (tasks, d), holds each task's own.
    """

    loss: Loss

    def __call__(self, phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        # Dropout draws for each task; without randomness the setting changes nothing.
        return vmap(self.loss, randomness="different")(phi, x, y).sum()
