"""The inner loop: k gradient steps on one task, as pure functions of phi.

Nothing here changes its arguments. Parameters and optimiser state go in, new ones come out, so that
a task leaves no trace unless the caller keeps what was returned, and the whole loop can be
differentiated through (MAML), vectorised over tasks, or compiled.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value
from torch.utils._pytree import tree_map

from firstorder.engine import engine_call, is_transformed
from firstorder.inner_optimizer import InnerOptimizer, State

Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # L(phi, x, y), a scalar


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


@engine_call
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


@engine_call
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
