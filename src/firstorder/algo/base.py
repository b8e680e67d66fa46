"""What every meta-algorithm shares: the paper's hyper-parameters, and the mean over a meta-batch."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from firstorder import outer_optimizer
from firstorder.inner_loop import Batch, InnerLoop, Loss, adapt, repeat_for_tasks
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.network import Layout, Network
from firstorder.outer_optimizer import OuterOptimizer
from firstorder.outer_schedule import SCHEDULES
from firstorder.settings import (
    Count,
    CountOrZero,
    NonNegative,
    Share,
    StepSize,
    check,
    check_fields,
    declarations,
    one_of_names,
)
from firstorder.task.episode import Episode
from firstorder.task.loss import SumOverTasks

InnerOptimizerName = Annotated[str, one_of_names(InnerOptimizer.by_name)]
ScheduleName = Annotated[str, one_of_names(SCHEDULES)]


@dataclass(frozen=True)
class Context:
    """What a direction may depend on besides the task.

    Attributes:
        layout: where each of the network's parameters lies in phi.
        is_random: the network draws random numbers while it is trained on a task.
        iteration: i, outer iterations done.
        iterations: N, outer iterations of the run.
    """

    layout: Layout = field(default_factory=Layout)
    is_random: bool = False
    iteration: int = 0
    iterations: int = 1


@dataclass(frozen=True, kw_only=True)
class MetaAlgorithm(ABC):
    """How one task is adapted to, and the direction in which it moves what the outer loop learns.

    An algorithm is its hyper-parameters, the names of the paper's tables 3 to 6, and one method,
    `meta_gradient`; those that adapt in their own way override `inner`, and those that learn more than
    phi override `meta_parameters`. It holds no weights: `MetaLearner` does.

    Attributes:
        inner_steps: k, mini-batches of a task, the tail included where there is one.
        inner_batch_size: images of a mini-batch.
        inner_lr: alpha, the inner optimiser's step size.
        inner_optimizer: "adam" (beta1 = 0), "sgd", or another class of `firstorder.inner_optimizer`.
        inner_options: its further arguments, such as {eps: 1e-3} or {weight_decay: 1e-4}.
        loss_reduction: "sum", as published, or "mean" over a mini-batch.
        label_smoothing: share of a label that is spread over all classes, in every inner loop.
        replacement: draw each mini-batch anew instead of cycling through the task's samples.
        tail_shots: images a class set aside as the last mini-batch (separate tail); 0 for none.
        meta_batch_size: n, tasks an outer iteration (Eq. 5); 1 is the serial version.
        inner_state: where a task's inner optimiser starts. "flows" hands its state on from task to task,
            as published; each rank then has a stream of its own, and their mean is kept. "mean" starts
            each task of a meta-batch from the same state and keeps the mean of what they leave: the same
            for any number of ranks. Under SGD there is no state, and no difference.
        parallel: run the tasks of a meta-batch at once instead of in turn; the inner state is then
            always a mean.
        outer_lr: epsilon at the first outer iteration.
        outer_lr_final: epsilon at the end.
        outer_schedule: how it gets there: "linear", as published, "cosine", or "constant".
        outer_optimizer: name of a class in torch.optim; SGD is the paper's interpolation.
        outer_options: its further arguments, such as {betas: [0.9, 0.99]}.
    """

    inner_steps: Count
    inner_batch_size: Count
    inner_lr: StepSize
    inner_optimizer: InnerOptimizerName = "adam"
    inner_options: dict[str, Any] = field(default_factory=dict)
    loss_reduction: Literal["sum", "mean"] = "sum"
    label_smoothing: Share = 0.0
    replacement: bool = False
    tail_shots: CountOrZero = 0
    meta_batch_size: Count = 1
    inner_state: Literal["flows", "mean"] = "flows"
    parallel: bool = False
    outer_lr: StepSize = 1.0
    outer_lr_final: NonNegative = 0.0
    outer_schedule: ScheduleName = "linear"
    outer_optimizer: OuterOptimizer = "SGD"
    outer_options: dict[str, Any] = field(default_factory=dict)

    steps_after_adapting: ClassVar[bool] = False  # its gradient is of the mini-batch after adapting
    computes_again: ClassVar[bool] = False  # the losses of a task, for their derivatives

    def __post_init__(self) -> None:
        check_fields(self, "algo")
        if self.support_steps < 1:
            raise ValueError(
                "algo.tail_shots sets the last mini-batch aside, so algo.inner_steps must be at least 2"
            )
        if self.steps_after_adapting and self.inner_steps < 2:
            raise ValueError(
                f"algo.inner_steps={self.inner_steps}: {type(self).__name__} takes the step after"
                " adapting, so it needs at least 2; with one it is joint training, algo=joint"
            )
        try:
            declared = declarations(type(self.optimizer))
        except TypeError as error:
            raise ValueError(
                f"algo.inner_options={self.inner_options} does not go with algo.inner_optimizer="
                f"{self.inner_optimizer}: {error}"
            ) from None
        for name, value in self.inner_options.items():
            check(f"algo.inner_options.{name}", value, declared.get(name, Any))
        outer_optimizer.check(self.outer_optimizer, self.outer_lr, self.outer_options)

    @abstractmethod
    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        """Return the direction that the outer optimiser descends for the task L_1, ..., L_k.

        Args:
            loss: L(phi, x, y) of a mini-batch.
            meta: what the outer loop learns, `meta_parameters` and where training has brought them.
            state: the inner optimiser's, as the task before left it.
            batches: the task's mini-batches, the separate tail last.
            context: the network's layout and the progress of training.
        """

    def meta_parameters(self, network: Network) -> Meta:
        """Return the first values of what the outer loop learns: phi, and what else there is."""
        return {"phi": network.initial()}

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        """Return the inner loop that adapts to a task, in training and in evaluation alike."""
        return InnerLoop(loss, self.optimizer, meta["phi"])

    def adapt(
        self, loss: Loss, meta: Meta, state: State, batches: Iterable[Batch], context: Context
    ) -> tuple[Tensor, State]:
        """Return the weights U^k(phi) that a task's mini-batches lead to, and the inner state."""
        return adapt(*self.inner(loss, meta, context), state, batches)

    def with_inner_lr(self, inner_lr: float) -> "MetaAlgorithm":
        """Return the algorithm with another inner step size, for evaluation."""
        return replace(self, inner_lr=inner_lr)

    def must_take(self, network: Network) -> None:
        """Make sure that a network is one that this algorithm can learn.

        Raises:
            ValueError: it is not.
        """
        if self.computes_again and network.is_random:
            raise ValueError(
                f"algo={self.name} computes the losses of a task again for their derivatives, and the"
                " network draws its dropout anew each time: set model.dropout=0 (model.drop=0 of"
                " resnet12), or take algo=maml"
            )

    @property
    def name(self) -> str:
        """The class's name as configs write it: GradientCombination is gradient_combination."""
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__)
        return words.lower()

    @property
    def optimizer(self) -> InnerOptimizer:
        """The inner optimiser."""
        kind = InnerOptimizer.by_name[self.inner_optimizer]
        return kind(lr=self.inner_lr, **self.inner_options)

    @property
    def support_steps(self) -> int:
        """Mini-batches drawn from the support set: all k, or k - 1 before a separate tail."""
        return self.inner_steps - (self.tail_shots > 0)

    def outer_lr_at(self, context: Context) -> float:
        """Return epsilon_i = epsilon_0 (1 - w) + epsilon_N w, w = i/N in the published schedule."""
        w = SCHEDULES[self.outer_schedule](context.iteration / context.iterations)
        return self.outer_lr * (1 - w) + self.outer_lr_final * w

    def meta_batch(
        self, loss: Loss, meta: Meta, state: State, tasks: Episode, context: Context
    ) -> MetaGradient:
        """Average the directions of a meta-batch (Eq. 5); the state flows through its tasks.

        Losses are returned per example, whatever `loss_reduction` is.
        """
        flows = self.inner_state == "flows" and not self.parallel
        if self.parallel:
            directions = [self._at_once(loss, meta, state, tasks, context)]
        else:
            directions, start = [], state
            for index in range(len(tasks.support_x)):
                with task_noise(context, tasks.noise_seed[index]):
                    batches = list(tasks.task(index).batches())
                    gradient = self.meta_gradient(loss, meta, start, batches, context)
                directions.append(gradient)
                start = gradient.state if flows else state
        each, states, first, last = zip(*directions, strict=True)
        left = states[-1] if flows else tree_map(lambda *tensors: mean(tensors), *states)
        direction = {name: mean([one[name] for one in each]) for name in meta}
        sizes = self.inner_batch_size, tasks.query_y.shape[1] or self.inner_batch_size
        per_example = sizes if self.loss_reduction == "sum" else (1, 1)
        losses = (mean(x) / n for x, n in zip((first, last), per_example, strict=True))
        return MetaGradient(direction, left, *losses)

    def _at_once(
        self, loss: Loss, meta: Meta, state: State, tasks: Episode, context: Context
    ) -> MetaGradient:
        """Take the tasks of a meta-batch at once, as rows; return the means over them."""
        number = len(tasks.support_x)
        meta, state = repeat_for_tasks(meta, number), repeat_for_tasks(state, number)
        with task_noise(context, tasks.noise_seed[0]):
            batches = list(tasks.batches())
            each = self.meta_gradient(SumOverTasks(loss), meta, state, batches, context)
        direction = {name: rows.mean(0) for name, rows in each.direction.items()}
        state = tree_map(lambda t: t.mean(0) if t.dim() else t, each.state)
        return MetaGradient(direction, state, each.first_loss / number, each.last_loss / number)


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Average tensors of one shape."""
    return torch.stack(list(tensors)).mean(0)


@contextmanager
def task_noise(context: Context, seed: Tensor) -> Iterator[None]:
    """Draw what is random in a network, such as dropout, from a task's own seed.

    Random numbers are then a function of the run's seed and the episode, also after a resume.
    """
    if not context.is_random:
        yield
        return
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(int(seed))
        yield
