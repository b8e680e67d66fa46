"""Reptile (Algorithm 1 and Eq. 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient, reptile


@dataclass(frozen=True, kw_only=True)
class Reptile(MetaAlgorithm):
    """Move the initialisation towards the weights that a task trains it to.

    Attributes:
        divide_by_inner_lr: descend (phi - adapted phi) / alpha, the natural scale of Section 3 for an
            adaptive outer optimiser, instead of phi - adapted phi.
    """

    divide_by_inner_lr: bool = False

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        gradient = reptile(*self.inner(loss, meta, context), state, batches)
        if self.divide_by_inner_lr:
            gradient = gradient._replace(
                direction={"phi": gradient.direction["phi"] / self.inner_lr}
            )
        return gradient
