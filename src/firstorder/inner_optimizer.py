"""Inner optimisers: a gradient becomes a step, the optimiser's state handed in and out."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

State = tuple[Tensor, ...]  # an optimiser's state: a named tuple of float tensors


class InnerOptimizer(Protocol):
    """Turn a gradient into a step, its state handed in and out."""

    @property
    def lr(self) -> float: ...

    def init(self, phi: Tensor) -> State:
        """Return the state before the first step."""
        ...

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the parameters and the state after one step."""
        ...


@dataclass(frozen=True)
class SGD:
    """Plain gradient descent, phi - alpha g (Eq. 10); it has no state."""

    lr: float

    def init(self, phi: Tensor) -> State:
        return ()

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        return phi - self.lr * gradient, state


class AdamState(NamedTuple):
    """Hold Adam's moments m and v, (d,), and the number of steps t, all float so that they average."""

    m: Tensor
    v: Tensor
    t: Tensor


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, Algorithm 1) with the paper's beta1 = 0: no momentum."""

    lr: float
    beta1: float = 0.0
    beta2: float = 0.999
    eps: float = 1e-8

    def init(self, phi: Tensor) -> State:
        return AdamState(phi.new_zeros(phi.shape), phi.new_zeros(phi.shape), phi.new_zeros(()))

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        m, v, t = state
        t = t + 1
        m = m.lerp(gradient, 1 - self.beta1)
        v = v.lerp(gradient * gradient, 1 - self.beta2)
        m_hat = m / (1 - self.beta1**t)
        # 1 - beta2^t loses its digits in float32; expm1 keeps them.
        v_hat = v / -(t * math.log(self.beta2)).expm1()
        # The root's derivative is infinite at 0, where a dead unit sits; 1e-15 is far below eps.
        root = v_hat.clamp_min(1e-30).sqrt()
        return phi - self.lr * m_hat / (root + self.eps), AdamState(m, v, t)
