"""MAML (Eq. 3): the exact gradient of the loss after adapting."""

from collections.abc import Sequence
from dataclasses import dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_loop import Batch, InnerLoop, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import (
    Meta,
    MetaGradient,
    by_meta,
    maml,
    maml_first_order,
    maml_product,
)


@dataclass(frozen=True, kw_only=True)
class MAML(MetaAlgorithm):
    """Differentiate the last mini-batch's loss through the inner steps before it.

    Unlike the first-order algorithms' weight changes the direction is a raw gradient, in units of
    loss over weight: it wants an outer optimiser of its own scale, such as Adam.

    Attributes:
        first_order: leave out the second derivatives (Section 2). The direction is then the raw
            gradient; algo=fomaml takes the inner optimiser's step along it.

    Raises:
        ValueError: there is no step before the last.
    """

    first_order: bool = False

    steps_after_adapting = True

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        def inner(meta: Meta) -> InnerLoop:
            return self.inner(loss, meta, context)

        if self.first_order:
            loop = inner(meta)
            found = maml_first_order(*loop, state, batches)
            return found._replace(direction=by_meta(inner, meta, loop, found.direction["phi"]))
        # What draws random numbers can't be computed again on the way back.
        differentiate = maml if context.is_random else maml_product
        return differentiate(inner, meta, state, batches)
