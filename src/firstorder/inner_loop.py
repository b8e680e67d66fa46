"""The inner loop: k gradient steps on one task, as pure functions of phi.

Nothing here changes its arguments. Parameters and optimiser state go in, new ones come out, so that
a task leaves no trace unless the caller keeps what was returned, and the whole loop can be
differentiated through (MAML), vectorised over tasks, or compiled.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.func import grad_and_value
from torch.utils._pytree import tree_map

from firstorder.compilation import compilable, is_transformed

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # L(phi, x, y), a scalar
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


class Step(NamedTuple):
    """Hold where one inner step led, phi_{i+1}, and the loss L_i(phi_i) that it descended."""

    phi: Tensor
    state: State
    loss: Tensor


def gradient_and_value(loss: Loss, phi: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return L'(phi), (d,), and L(phi).

    Where phi is only a point, plain autograd does it, at less cost than a transform that can itself be
    transformed.
    """
    if is_transformed():
        gradient, value = grad_and_value(loss)(phi, *batch)
        return gradient, value
    with torch.enable_grad():
        point = phi.detach().requires_grad_()
        value = loss(point, *batch)
    (gradient,) = torch.autograd.grad(value, point)
    return gradient, value.detach()


@compilable
def step(loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batch: Batch) -> Step:
    """Apply the update operator U_i: one optimiser step on one mini-batch (Eq. 9-10)."""
    gradient, value = gradient_and_value(loss, phi, batch)
    phi, state = optimizer.update(phi, gradient, state)
    return Step(phi, state, value)


def trajectory(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Iterable[Batch]
) -> Iterator[Step]:
    """Yield the steps phi_2, ..., phi_{k+1} that start from phi_1 = phi."""
    for batch in batches:
        taken = step(loss, optimizer, phi, state, batch)
        phi, state = taken.phi, taken.state
        yield taken


@compilable
def adapt(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Iterable[Batch]
) -> tuple[Tensor, State]:
    """Return U^k(phi), the parameters after a step on each mini-batch, and the optimiser's state."""
    for taken in trajectory(loss, optimizer, phi, state, batches):
        phi, state = taken.phi, taken.state
    return phi, state


def for_tasks(phi: Tensor, state: State, tasks: int) -> tuple[Tensor, State]:
    """Return weights and state of many tasks, (tasks, d), that all start from phi and state.

    An optimiser's step on such rows is one on each; the number of steps, a scalar, they share.
    """

    def rows(vector: Tensor) -> Tensor:
        return vector.expand(tasks, -1) if vector.dim() else vector

    return rows(phi), tree_map(rows, state)


def cycle_minibatches(n: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return `steps` mini-batches of indices into n samples, (steps, batch), by running through them.

    The samples are shuffled, run through, reshuffled, and so on. A batch may span two epochs and then
    hold a sample twice, as in the authors' code.
    """
    epochs = -(-steps * batch // n)
    order = np.concatenate([rng.permutation(n) for _ in range(epochs)])
    return order[: steps * batch].reshape(steps, batch)


def replacement_minibatches(n: int, batch: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """Return mini-batches each drawn anew: no sample twice in one, independent between them.

    Raises:
        ValueError: a mini-batch is larger than the set it is drawn from.
    """
    if batch > n:
        raise ValueError(
            f"inner_batch_size={batch} is larger than the {n} support samples of a task: with"
            " replacement=true a mini-batch holds no sample twice"
        )
    return np.stack([rng.permutation(n)[:batch] for _ in range(steps)])
