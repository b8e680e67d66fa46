"""Joint training (Eq. 6-7), the baseline that the paper compares itself to."""

from collections.abc import Sequence
from dataclasses import dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient, joint


@dataclass(frozen=True, kw_only=True)
class Joint(MetaAlgorithm):
    """Descend the expected loss: every mini-batch steps from the initialisation itself.

    It sees what Reptile sees, and adapts at evaluation like every algorithm; but no step comes after
    another, so its gradient has no AvgGradInner term (Eq. 29).
    """

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        return joint(*self.inner(loss, meta, context), state, batches)
