"""Reptile (Algorithm 1 and Eq. 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from firstorder.algo.base import MetaAlgorithm
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import MetaGradient, reptile


@dataclass(frozen=True, kw_only=True)
class Reptile(MetaAlgorithm):
    """Move the initialisation towards the weights that a task trains it to.

    Attributes:
        divide_by_inner_lr: descend (phi - adapted phi) / alpha, the natural scale of Section 3 for an
            adaptive outer optimiser, instead of phi - adapted phi.
    """

    divide_by_inner_lr: bool = False

    def meta_gradient(
        self, loss: Loss, phi: Tensor, state: State, batches: Sequence[Batch]
    ) -> MetaGradient:
        found = reptile(loss, self.optimizer, phi, state, batches)
        if self.divide_by_inner_lr:
            found = found._replace(direction=found.direction / self.inner_lr)
        return found
