"""iMAML (Rajeswaran et al. 2019): the implicit gradient, from the inner loop's end and not its path."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.optimizers import Proximal
from firstorder.inner_loop import Batch, InnerLoop, Loss, gradient_and_value, trajectory
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.second_order import conjugate_gradient, hessian_vector
from firstorder.settings import Count, StepSize


@dataclass(frozen=True, kw_only=True)
class IMAML(MetaAlgorithm):
    """Solve (I + H / lambda) g = L'_k(phi_k), with H the support loss's Hessian at phi_k (their Eq. 6).

    It is the gradient through an inner loop that ends at the proximal loss's minimum; with
    `inner_steps` too few for that it is an approximation. The direction is a raw gradient, as MAML's.

    Attributes:
        proximal: lambda, the pull towards phi in the inner loop.
        solver_steps: steps of conjugate gradient.

    Raises:
        ValueError: there is no step before the last.
    """

    proximal: StepSize = 1.0
    solver_steps: Count = 5

    steps_after_adapting = True
    computes_again = True

    def inner(self, loss: Loss, meta: Meta, context: Context) -> InnerLoop:
        phi = meta["phi"]
        return InnerLoop(loss, Proximal(self.optimizer, phi, self.proximal), phi)

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        *support, query = batches
        steps = list(trajectory(*self.inner(loss, meta, context), state, support))
        adapted = steps[-1].phi
        gradient, value = gradient_and_value(loss, adapted, query)

        def multiply(vector: Tensor) -> Tensor:
            each = [hessian_vector(loss, adapted, batch, vector) for batch in support]
            return vector + torch.stack(each).mean(0) / self.proximal

        direction = conjugate_gradient(multiply, gradient, self.solver_steps)
        return MetaGradient({"phi": direction}, steps[-1].state, steps[0].loss, value)
