"""MAML++ (Antoniou et al. 2019): MAML with losses, step sizes and derivatives for each inner step."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.utils._pytree import tree_map

from firstorder.algo.base import Context
from firstorder.algo.meta_sgd import MetaSGD
from firstorder.algo.optimizers import PerStepSGD
from firstorder.inner_loop import Batch, InnerLoop, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient, maml_product
from firstorder.network import Network
from firstorder.settings import Share


@dataclass(frozen=True, kw_only=True)
class MAMLPP(MetaSGD):
    """Learn phi and the step sizes by a loss after each inner step, whose last one comes to count alone.

    Two of the paper's changes are settings: `outer_schedule: cosine`, and batch norm that never keeps
    statistics, where theirs keeps some for each step: running statistics would leak from task to task.

    Attributes:
        multi_step: the share of training over which the weights of the losses after steps 1 to k - 2
            fall from 1 / (k - 1) to 0 (their Section 4, multi-step loss optimisation).
        first_order_share: the share of training, at its beginning, without second derivatives.
    """

    multi_step: Share = 0.15
    first_order_share: Share = 0.3
    computes_again = True

    def meta_parameters(self, network: Network) -> Meta:
        phi = network.initial()
        alpha = phi.new_full((self.inner_steps - 1, len(network.layout)), self.inner_lr)
        return {"phi": phi, "alpha": alpha}

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        sizes, decay = tuple(context.layout.sizes), self.optimizer.weight_decay
        return InnerLoop(loss, PerStepSGD(meta["alpha"], sizes, decay), meta["phi"])

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
        return maml_product(
            lambda meta: self.inner(loss, meta, context), meta, start, batches,
            weights=self.loss_weights(context), first_order=is_early,
        )._replace(state=state)  # fmt: skip
