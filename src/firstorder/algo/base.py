"""What every meta-algorithm shares: the paper's hyper-parameters, and the mean over a meta-batch."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from firstorder.inner_loop import Batch, Loss, for_tasks
from firstorder.inner_optimizer import SGD, Adam, InnerOptimizer, State
from firstorder.messages import one_of
from firstorder.meta_gradient import MetaGradient
from firstorder.task.episode import Episode
from firstorder.task.loss import OverTasks

# Those of torch.optim that step a dense vector without a closure.
OUTER_OPTIMIZERS = (
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MetaAlgorithm(ABC):
    """Give the direction in weight space of one task; the outer loop does the rest.

    An algorithm is its hyper-parameters, the names of the paper's tables 3 to 6, and one method,
    `meta_gradient`. It holds no weights: `MetaLearner` does.

    Attributes:
        inner_steps: k, mini-batches of a task, the tail included where there is one.
        inner_batch_size: images of a mini-batch.
        inner_lr: alpha, the inner optimiser's step size.
        inner_optimizer: "adam" (beta1 = 0) or "sgd".
        loss_reduction: "sum", as published, or "mean" over a mini-batch.
        replacement: draw each mini-batch anew instead of cycling through the task's samples.
        tail_shots: images a class set aside as the last mini-batch (separate tail); 0 for none.
        meta_batch_size: n, tasks an outer iteration (Eq. 5); 1 is the serial version.
        parallel: run the tasks of a meta-batch at once instead of in turn. Under SGD the result is
            the same; under Adam each task then starts from the same inner state and their mean is
            kept, where in turn it flows on from task to task.
        outer_lr: epsilon at the first outer iteration.
        outer_lr_final: epsilon that it falls to, linearly.
        outer_optimizer: name of a class in torch.optim; SGD is the paper's interpolation.
        outer_options: its further arguments, such as {betas: [0.9, 0.99]}.
    """

    inner_steps: int
    inner_batch_size: int
    inner_lr: float
    inner_optimizer: str = "adam"
    loss_reduction: str = "sum"
    replacement: bool = False
    tail_shots: int = 0
    meta_batch_size: int = 1
    parallel: bool = False
    outer_lr: float = 1.0
    outer_lr_final: float = 0.0
    outer_optimizer: str = "SGD"
    outer_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("inner_steps", "inner_batch_size", "meta_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"algo.{name} must be at least 1, not {getattr(self, name)}")
        if not self.inner_lr > 0:
            raise ValueError(f"algo.inner_lr must be above 0, not {self.inner_lr}")
        if self.tail_shots < 0:
            raise ValueError(f"algo.tail_shots must be 0 or more, not {self.tail_shots}")
        if self.support_steps < 1:
            raise ValueError(
                "algo.tail_shots sets the last mini-batch aside, so algo.inner_steps must be at least 2"
            )
        one_of("algo.inner_optimizer", self.inner_optimizer, ["adam", "sgd"])
        one_of("algo.loss_reduction", self.loss_reduction, ["sum", "mean"])
        one_of("algo.outer_optimizer", self.outer_optimizer, OUTER_OPTIMIZERS)

    @abstractmethod
    def meta_gradient(
        self, loss: Loss, phi: Tensor, state: State, batches: Sequence[Batch]
    ) -> MetaGradient:
        """Return the direction that the outer optimiser descends for the task L_1, ..., L_k."""

    @property
    def name(self) -> str:
        """The class's name as configs write it: GradientCombination is gradient_combination."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def optimizer(self) -> InnerOptimizer:
        """The inner optimiser."""
        return Adam(self.inner_lr) if self.inner_optimizer == "adam" else SGD(self.inner_lr)

    @property
    def support_steps(self) -> int:
        """Mini-batches drawn from the support set: all k, or k - 1 before a separate tail."""
        return self.inner_steps - (self.tail_shots > 0)

    def meta_batch(self, loss: Loss, phi: Tensor, state: State, tasks: Episode) -> MetaGradient:
        """Average the directions of a meta-batch (Eq. 5); the state flows through its tasks."""
        if self.parallel:
            number = len(tasks.support_x)
            start = for_tasks(phi, state, number)
            each = self.meta_gradient(OverTasks(loss), *start, minibatches(tasks))
            state = tree_map(lambda t: t.mean(0) if t.dim() else t, each.state)
            losses = each.first_loss / number, each.last_loss / number
            return MetaGradient(each.direction.mean(0), state, *losses)
        found = []
        for index in range(len(tasks.support_x)):
            found.append(self.meta_gradient(loss, phi, state, minibatches(tasks.task(index))))
            state = found[-1].state
        directions, _, first, last = zip(*found, strict=True)
        return MetaGradient(mean(directions), state, mean(first), mean(last))


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Average tensors of one shape."""
    return torch.stack(list(tensors)).mean(0)


def minibatches(task: Episode) -> list[Batch]:
    """Cut a task into L_1, ..., L_k: the support set in its order, then the tail if there is one.

    A batch of tasks is cut into mini-batches of each.
    """
    tail = [(task.query_x, task.query_y)] if task.query_y.numel() else []
    return [*task.support_batches(), *tail]
