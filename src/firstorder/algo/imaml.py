"""iMAML (Rajeswaran et al. 2019): the meta-gradient from where adapting ends, whatever led there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass

from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.inner_loop import Batch, InnerLoop, Loss, gradient_and_value, trajectory
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.second_order import hessian_vector
from firstorder.settings import Count, StepSize


@dataclass(frozen=True)
class Proximal(InnerOptimizer):
    """Let an inner optimiser descend the loss plus strength / 2 |phi - anchor|^2."""

    optimizer: InnerOptimizer
    anchor: Tensor
    strength: float

    def before_gradient(self, phi: Tensor) -> Tensor:
        return self.optimizer.before_gradient(phi)

    def init(self, phi: Tensor) -> State:
        return self.optimizer.init(phi)

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        return self.optimizer.update(phi, gradient + self.strength * (phi - self.anchor), state)


register_dataclass(Proximal)  # its tensors are data, not settings


@dataclass(frozen=True, kw_only=True)
class IMAML(MetaAlgorithm):
    """Solve (I + H / lambda) g = L'_k(phi_k), with H the support loss's Hessian at phi_k (their Eq. 6).

    It is the gradient through an inner loop that ends at the proximal loss's minimum; with
    `inner_steps` too few for that it is an approximation. The direction is a raw gradient, as MAML's.

    Attributes:
        proximal: lambda, the pull towards phi in the inner loop.
        solver_steps: steps of conjugate gradient.
    """

    proximal: StepSize = 1.0
    solver_steps: Count = 5

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


def conjugate_gradient(multiply: Callable[[Tensor], Tensor], b: Tensor, steps: int) -> Tensor:
    """Approach the solution x, (..., d), of A x = b, where `multiply` is A, symmetric and positive."""
    x, residual, direction = torch.zeros_like(b), b, b
    square = (residual * residual).sum(-1, keepdim=True)
    for _ in range(steps):
        product = multiply(direction)
        curvature = (direction * product).sum(-1, keepdim=True)
        length = torch.where(curvature > 0, square / curvature, 0)  # done, or A is not positive
        x, residual = x + length * direction, residual - length * product
        before, square = square, (residual * residual).sum(-1, keepdim=True)
        direction = residual + square / before.clamp_min(1e-30) * direction
    return x
