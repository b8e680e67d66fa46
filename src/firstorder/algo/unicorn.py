"""UNICORN-MAML (Ye and Chao 2022): all classes start from the same row of the last layer."""

from dataclasses import dataclass

from firstorder.algo.base import Context
from firstorder.algo.maml import MAML
from firstorder.inner_loop import InnerLoop, Loss
from firstorder.meta_gradient import Meta


@dataclass(frozen=True, kw_only=True)
class Unicorn(MAML):
    """Start the inner loop from a last layer whose rows are all the mean of its rows.

    MAML's gradient goes through the mean. What rows have in common does not change their softmax, so the
    row itself has no gradient, and the start is as good as a last layer of zeros (the zeroing trick of
    Kao et al. 2022): the outer loop learns the features. How a task's classes are numbered changes
    nothing under SGD; the state of Adam, handed on from task to task, still differs from row to row.
    """

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        loop = super().inner(loss, meta, context)
        return loop._replace(phi=context.layout.with_shared_head(loop.phi))
