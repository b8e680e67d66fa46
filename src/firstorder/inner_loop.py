"""The inner loop: k gradient steps on one task, as pure functions of phi.

Nothing here changes its arguments. Parameters and optimiser state go in, new ones come out, so that
a task leaves no trace unless the caller keeps what was returned, and the whole loop can be
differentiated through (MAML), vectorised over tasks, or compiled.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.func import grad_and_value
from torch.utils._pytree import tree_map

from firstorder.engine import engine_call, is_transformed
from firstorder.inner_optimizer import InnerOptimizer, State

Batch = tuple[Tensor, Tensor]
Tensors = TypeVar("Tensors", dict[str, Tensor], tuple[Tensor, ...])
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # L(phi, x, y), a scalar


class InnerLoop(NamedTuple):
    """What an inner loop descends, how, and from where.

    Attributes:
        loss: L(phi, x, y) of a mini-batch.
        optimizer: turns its gradient into a step.
        phi: where the first step starts, (d,).
    """

    loss: Loss
    optimizer: InnerOptimizer
    phi: Tensor


class Step(NamedTuple):
    """One inner step: the point it leads to, phi_{i+1}, and the loss L_i(phi_i) it descended."""

    phi: Tensor
    state: State
    loss: Tensor


@engine_call
def gradient_and_value(loss: Loss, phi: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return L'(phi), (d,), and L(phi).

    Outside of torch.func's transforms plain autograd computes them, which costs less than a `grad` that
    could itself be differentiated.
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
def update(
    optimizer: InnerOptimizer, phi: Tensor, gradient: Tensor, state: State
) -> tuple[Tensor, State]:
    """Return the weights and the state after the optimiser's step along a gradient."""
    return optimizer.update(phi, gradient, state)


@engine_call
def step(loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batch: Batch) -> Step:
    """Apply the update operator U_i: one optimiser step on one mini-batch (Eq. 9-10)."""
    phi = optimizer.before_gradient(phi)
    gradient, value = gradient_and_value(loss, phi, batch)
    return Step(*update(optimizer, phi, gradient, state), value)


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


def repeat_for_tasks(values: Tensors, tasks: int) -> Tensors:
    """Return each tensor, (...), as (tasks, ...): many tasks that all start from the same values.

    An optimiser's step on such rows is one on each. Scalars, such as Adam's number of steps, are shared.
    """

    def rows(vector: Tensor) -> Tensor:
        return vector.expand(tasks, *vector.shape) if vector.dim() else vector

    repeated: Tensors = tree_map(rows, values)
    return repeated
