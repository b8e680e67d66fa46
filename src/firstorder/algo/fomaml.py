"""First-order MAML (Eq. 38), with the tails and mini-batches of Section 6.3."""

from collections.abc import Sequence
from dataclasses import dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient, fomaml


@dataclass(frozen=True, kw_only=True)
class FOMAML(MetaAlgorithm):
    """Move the initialisation by the last inner step alone.

    `tail_shots` sets images aside for that step (separate tail; 0 is the shared tail), `replacement`
    says how the other mini-batches are drawn: the four variants of Figure 4. The update is the weight
    change of the last optimiser step, as published, not the raw gradient; the two differ under Adam.

    Raises:
        ValueError: there is no step before the last.
    """

    steps_after_adapting = True

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        return fomaml(*self.inner(loss, meta, context), state, batches)
