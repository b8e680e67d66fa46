"""Linear combinations of the inner gradients (Section 6.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient, combination


@dataclass(frozen=True, kw_only=True)
class GradientCombination(MetaAlgorithm):
    """Move the initialisation by a weighted sum of the inner steps, sum_i w_i g_i.

    Attributes:
        weights: w_1, ..., w_k, one a step; all 1, Reptile's, where none are given. (0, ..., 0, 1) is
            FOMAML's, (1, 0, ..., 0) joint training's.
        average: divide them by their sum, to correct for the length of the step.

    Raises:
        ValueError: there is not one weight a step, or they sum to 0 and have no average.
    """

    weights: Sequence[float] = ()
    average: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.weights) not in (0, self.inner_steps):
            raise ValueError(
                f"algo.weights={list(self.weights)} has {len(self.weights)} numbers for"
                f" algo.inner_steps={self.inner_steps}: give one a step"
            )
        if self.average and self.weights and not sum(self.weights):
            raise ValueError(
                f"algo.weights={list(self.weights)} sum to 0, so algo.average=true has nothing to"
                " divide by"
            )

    @property
    def step_weights(self) -> list[float]:
        """One weight a step, averaged if asked for."""
        weights = list(self.weights) or [1.0] * self.inner_steps
        return [weight / sum(weights) for weight in weights] if self.average else weights

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        return combination(*self.inner(loss, meta, context), state, batches, self.step_weights)
