"""What every meta-algorithm shares: the paper's hyper-parameters, and the mean over a meta-batch."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from firstorder.inner_loop import Batch, Loss, for_tasks
from firstorder.inner_optimizer import SGD, Adam, InnerOptimizer, State
from firstorder.meta_gradient import MetaGradient
from firstorder.settings import Count, CountOrZero, NonNegative, StepSize, check_fields
from firstorder.task.episode import Episode
from firstorder.task.loss import OverTasks

# Those of torch.optim that step a dense vector without a closure.
OuterOptimizer = Literal[
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD",
]  # fmt: skip
# Those whose first step changes every weight by outer_lr, however small its gradient: at the 1.0 that
# is right for interpolation nothing is learnt.
MOVE_BY_LR = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "RMSprop", "Rprop")


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

    inner_steps: Count
    inner_batch_size: Count
    inner_lr: StepSize
    inner_optimizer: Literal["adam", "sgd"] = "adam"
    loss_reduction: Literal["sum", "mean"] = "sum"
    replacement: bool = False
    tail_shots: CountOrZero = 0
    meta_batch_size: Count = 1
    parallel: bool = False
    outer_lr: StepSize = 1.0
    outer_lr_final: NonNegative = 0.0
    outer_optimizer: OuterOptimizer = "SGD"
    outer_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, "algo")
        if self.support_steps < 1:
            raise ValueError(
                "algo.tail_shots sets the last mini-batch aside, so algo.inner_steps must be at least 2"
            )
        if self.outer_optimizer in MOVE_BY_LR and self.outer_lr >= 0.1:
            raise ValueError(
                f"algo.outer_lr={self.outer_lr} is too much for algo.outer_optimizer="
                f"{self.outer_optimizer}, which moves every weight by about that at each step: add"
                " algo.outer_lr=0.001"
            )
        if self.outer_options:
            object.__setattr__(self, "outer_options", self._checked_options())

    def _checked_options(self) -> dict[str, Any]:
        """Return outer_options as torch takes them, lists as tuples.

        Raises:
            ValueError: the outer optimiser refuses them.
        """
        options = {k: tuple(v) if isinstance(v, list) else v for k, v in self.outer_options.items()}
        try:
            if "lr" in options:
                raise ValueError("the step size is algo.outer_lr")
            weight = torch.nn.Parameter(torch.zeros(1))
            getattr(torch.optim, self.outer_optimizer)([weight], lr=self.outer_lr, **options)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"algo.outer_options={self.outer_options} does not go with algo.outer_optimizer="
                f"{self.outer_optimizer}: {error}"
            ) from None
        return options

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
