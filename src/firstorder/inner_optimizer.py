"""Inner optimisers: a gradient becomes a step, the optimiser's state handed in and out.

`algo.inner_optimizer` chooses one by its name; a further one is one more class here.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

from annotated_types import Gt, Lt
from torch import Tensor

from firstorder.settings import BelowOne, NonNegative

State = tuple[Tensor, ...]  # an optimiser's state: a named tuple of float tensors


class InnerOptimizer(ABC):
    """Turn a gradient into a step. It holds settings; its state is handed in and out.

    Weights are (d,), or (tasks, d) where many tasks take their steps at once: all arithmetic is
    elementwise.

    Attributes:
        weight_decay: weights shrink by this fraction before each gradient, as in the authors' code.
    """

    weight_decay: float = 0.0
    by_name: ClassVar[dict[str, Callable[..., "InnerOptimizer"]]] = {}

    def __init_subclass__(cls, name: str | None = None) -> None:
        if name is not None:
            InnerOptimizer.by_name[name] = cls

    def before_gradient(self, phi: Tensor) -> Tensor:
        """Return the weights at which the gradient is taken and from which the step starts.

        A number times each weight, and so its own adjoint.
        """
        return phi * (1 - self.weight_decay) if self.weight_decay else phi

    @abstractmethod
    def init(self, phi: Tensor) -> State:
        """Return the state before the first step."""

    @abstractmethod
    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the parameters and the state after one step."""


@dataclass(frozen=True)
class SGD(InnerOptimizer, name="sgd"):
    """Plain gradient descent, phi - alpha g (Eq. 10); it has no state.

    Attributes:
        lr: alpha.
        weight_decay: see `InnerOptimizer`.
    """

    lr: float
    weight_decay: BelowOne = 0.0

    def init(self, phi: Tensor) -> State:
        return ()

    def update(self, phi: Tensor, gradient: Tensor, state: State) -> tuple[Tensor, State]:
        return phi - self.lr * gradient, state


class AdamState(NamedTuple):
    """Adam's moments m and v, (d,), and its number of steps t, all float so that they average."""

    m: Tensor
    v: Tensor
    t: Tensor


@dataclass(frozen=True)
class Adam(InnerOptimizer, name="adam"):
    """Adam (Kingma and Ba 2015, Algorithm 1) with the paper's beta1 = 0: no momentum.

    Attributes:
        lr: alpha.
        beta1, beta2: decay rates of the moments.
        eps: added to the root of the second moment.
        weight_decay: see `InnerOptimizer`.
    """

    lr: float
    beta1: BelowOne = 0.0
    beta2: Annotated[float, Gt(0), Lt(1)] = 0.999
    eps: NonNegative = 1e-8
    weight_decay: BelowOne = 0.0

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
