"""Joint training (Eq. 6-7), the baseline that the paper compares itself to."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from firstorder.algo.base import MetaAlgorithm
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import MetaGradient, joint


@dataclass(frozen=True, kw_only=True)
class Joint(MetaAlgorithm):
    """Descend the expected loss: every mini-batch steps from the initialisation itself.

    It sees what Reptile sees, and adapts at evaluation like every algorithm; but no step comes after
    another, so that nothing asks for gradients that agree (no AvgGradInner).
    """

    def meta_gradient(
        self, loss: Loss, phi: Tensor, state: State, batches: Sequence[Batch]
    ) -> MetaGradient:
        return joint(loss, self.optimizer, phi, state, batches)
