"""UNICORN-MAML (Ye and Chao 2022): one classifier, shared by all classes, as the start of each."""

from dataclasses import dataclass

from firstorder.algo.base import Context
from firstorder.algo.maml import MAML
from firstorder.inner_loop import InnerLoop, Loss
from firstorder.meta_gradient import Meta


@dataclass(frozen=True, kw_only=True)
class Unicorn(MAML):
    """Start the inner loop from a head whose rows are their mean, so that no class has a place.

    MAML's gradient goes through the mean: the outer loop learns one row, and what a task's classes are
    numbered changes nothing.
    """

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        loop = super().inner(loss, meta, context)
        return loop._replace(phi=context.layout.with_shared_head(loop.phi))
