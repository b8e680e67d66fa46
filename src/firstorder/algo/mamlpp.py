"""MAML++ (Antoniou et al. 2019): MAML with losses, step sizes and derivatives for each inner step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass, tree_map

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.maml import MAML
from firstorder.inner_loop import Batch, InnerLoop, Loss
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.meta_gradient import Meta, MetaGradient, maml_product
from firstorder.network import Network
from firstorder.settings import Share


class Taken(NamedTuple):
    """The number of steps taken on a task, a scalar."""

    t: Tensor


@dataclass(frozen=True)
class PerStepSGD(InnerOptimizer):
    """Gradient descent with a step size for each step and parameter.

    Attributes:
        alpha: (steps, parameters); steps after the last, at evaluation, take the last one's.
        sizes: weights of each parameter.
    """

    alpha: Tensor
    sizes: tuple[int, ...]

    def init(self, phi: Tensor) -> State:
        return Taken(phi.new_zeros(()))

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        step = state[0].long().clamp(max=self.alpha.shape[-2] - 1)
        alpha = self.alpha.index_select(-2, step.view(1)).squeeze(-2)
        sizes = torch.tensor(self.sizes, device=phi.device)
        rates = alpha.repeat_interleave(sizes, -1, output_size=phi.shape[-1])
        return phi - rates * gradient, Taken(state[0] + 1)


register_dataclass(PerStepSGD)  # its tensors are data, not settings


@dataclass(frozen=True, kw_only=True)
class MAMLPP(MAML):
    """Learn phi and the step sizes by a loss after each inner step, whose last one comes to count alone.

    Two of the paper's changes are settings: `outer_schedule: cosine`, and batch norm that never keeps
    statistics, where theirs keeps some for each step: running statistics would leak from task to task.

    Attributes:
        multi_step: the share of training over which the weights of the losses after steps 1 to k - 2
            fall from 1 / (k - 1) to 0 (their Section 4, multi-step loss optimisation).
        first_order_share: the share of training, at its beginning, without second derivatives.

    Raises:
        ValueError: another inner optimiser, or no second derivatives at all.
    """

    multi_step: Share = 0.15
    first_order_share: Share = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.inner_optimizer != "sgd" or self.first_order:
            raise ValueError(
                "algo=mamlpp learns the step sizes of gradient descent, by second derivatives after"
                " algo.first_order_share: leave algo.inner_optimizer=sgd and algo.first_order=false"
            )

    def meta_parameters(self, network: Network) -> Meta:
        phi = network.initial()
        alpha = phi.new_full((self.inner_steps - 1, len(network.layout)), self.inner_lr)
        return {"phi": phi, "alpha": alpha}

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        optimizer = PerStepSGD(meta["alpha"], tuple(context.layout.sizes))
        return InnerLoop(loss, optimizer, meta["phi"])

    def loss_weights(self, context: Context) -> list[float]:
        """Return the weights of the query loss after each inner step, which add up to 1."""
        steps, done = self.inner_steps - 1, context.iteration / context.iterations
        early = max(0.0, 1 - done / self.multi_step) / steps if self.multi_step else 0.0
        return [early] * (steps - 1) + [1 - early * (steps - 1)]

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        is_early = context.iteration < self.first_order_share * context.iterations
        start = tree_map(torch.zeros_like, state)  # each task counts its steps anew
        found = maml_product(
            lambda meta: self.inner(loss, meta, context), meta, start, batches,
            weights=self.loss_weights(context), first_order=is_early,
        )  # fmt: skip
        return found._replace(state=state)

    def with_inner_lr(self, inner_lr: float) -> MetaAlgorithm:
        raise ValueError(f"eval.inner_lr={inner_lr}: mamlpp has learnt its inner step sizes")
