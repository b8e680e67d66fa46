"""Inner optimisers that hold tensors given by the outer loop, so they cannot be chosen by name."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass

from firstorder.inner_optimizer import InnerOptimizer, State


@dataclass(frozen=True)
class PerWeightSGD(InnerOptimizer):
    """Gradient descent phi - alpha * g with a step size alpha, (d,), for each weight.

    Attributes:
        alpha: the step sizes.
        weight_decay: see `InnerOptimizer`.
    """

    alpha: Tensor
    weight_decay: float = 0.0

    def init(self, phi: Tensor) -> State:
        return ()

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        return phi - self.alpha * gradient, state


class Taken(NamedTuple):
    """The number of steps taken on a task, a scalar."""

    t: Tensor


@dataclass(frozen=True)
class PerStepSGD(InnerOptimizer):
    """Gradient descent with a step size for each step and parameter.

    Attributes:
        alpha: (steps, parameters); steps after the last, at evaluation, take the last one's.
        sizes: weights of each parameter.
        weight_decay: see `InnerOptimizer`.
    """

    alpha: Tensor
    sizes: tuple[int, ...]
    weight_decay: float = 0.0

    def init(self, phi: Tensor) -> State:
        return Taken(phi.new_zeros(()))

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        step = state[0].long().clamp(max=self.alpha.shape[-2] - 1)
        alpha = self.alpha.index_select(-2, step.view(1)).squeeze(-2)
        sizes = torch.tensor(self.sizes, device=phi.device)
        rates = alpha.repeat_interleave(sizes, -1, output_size=phi.shape[-1])
        return phi - rates * gradient, Taken(state[0] + 1)


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


@dataclass(frozen=True)
class Masked(InnerOptimizer):
    """Let an inner optimiser move only the weights where the mask, (d,) bool, is true."""

    optimizer: InnerOptimizer
    mask: Tensor

    def before_gradient(self, phi: Tensor) -> Tensor:
        return torch.where(self.mask, self.optimizer.before_gradient(phi), phi)

    def init(self, phi: Tensor) -> State:
        return self.optimizer.init(phi)

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        moved, state = self.optimizer.update(phi, gradient, state)
        return torch.where(self.mask, moved, phi), state


for kind in (PerWeightSGD, PerStepSGD, Proximal, Masked):
    register_dataclass(kind)  # their tensors are data, not settings
