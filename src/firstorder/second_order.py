"""Derivatives of inner steps, for MAML: the optimiser's, and Hessians times vectors.

Outside of torch.func's transforms plain autograd computes them: it costs less, as its result need not be
differentiable again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad, vjp
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from firstorder.engine import engine_call, is_transformed
from firstorder.inner_loop import Batch, Loss, Step, gradient_and_value, update
from firstorder.inner_optimizer import InnerOptimizer, State


class Point(NamedTuple):
    """Where a step was taken: the weights and the state before it, and the gradient L'(phi)."""

    phi: Tensor
    gradient: Tensor
    state: State


class Cotangents(NamedTuple):
    """A scalar's derivatives by a step's weights, state and optimiser (its `learnable` tensors)."""

    phi: Tensor
    state: State
    optimizer: tuple[Tensor, ...]


@engine_call
def recorded_step(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batch: Batch
) -> tuple[Point, Step]:
    """Apply U_i as `step` does, and return beside it the point that `step_vjp` needs."""
    start = optimizer.before_gradient(phi)
    gradient, value = gradient_and_value(loss, start, batch)
    return Point(start, gradient, state), Step(*update(optimizer, start, gradient, state), value)


@engine_call
def step_vjp(
    loss: Loss,
    optimizer: InnerOptimizer,
    point: Point,
    batch: Batch,
    of_phi: Tensor,
    of_state: State,
    first_order: bool = False,
) -> Cotangents:
    """Multiply U'_i from the right: derivatives by a step's arguments, from those by its results.

    The weights act on a step directly and through the gradient, whose derivative is the Hessian, 0 in
    the first-order approximation.
    """
    of_gradient, of = update_vjp(optimizer, point, of_phi, of_state)
    of_start = of.phi
    if not first_order:
        of_start = of_start + hessian_vector(loss, point.phi, batch, of_gradient)
    return of._replace(phi=optimizer.before_gradient(of_start))


@engine_call
def hessian_vector(loss: Loss, phi: Tensor, batch: Batch, vector: Tensor) -> Tensor:
    """Return L''(phi) v, (d,): the gradient of L'(phi) . v, so the Hessian is never written out."""
    if is_transformed():
        (product,) = vjp(lambda phi: grad(loss)(phi, *batch), phi)[1](vector)
        return product
    with torch.enable_grad():
        point = phi.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(point, *batch), point, create_graph=True)
    (product,) = torch.autograd.grad(gradient, point, vector)
    return product


@engine_call
def update_vjp(
    optimizer: InnerOptimizer, point: Point, of_phi: Tensor, of_state: State
) -> tuple[Tensor, Cotangents]:
    """Return a scalar's derivatives by the gradient and the rest of `update`, from those by its results.

    Scalars of the state, such as Adam's number of steps, are constants.
    """
    leaves, structure = tree_flatten((point, optimizer))
    varied = [i for i, leaf in enumerate(leaves) if is_learnable(leaf)]

    def varied_update(*tensors: Tensor) -> tuple[Tensor, ...]:
        filled = {**dict(enumerate(leaves)), **dict(zip(varied, tensors, strict=True))}
        point, optimizer = tree_unflatten(list(filled.values()), structure)
        moved, state = optimizer.update(*point)
        return moved, *(tensor for tensor in state if is_learnable(tensor))

    points = [leaves[i].detach() for i in varied]
    cotangents = of_phi, *(tensor for tensor in of_state if is_learnable(tensor))
    if is_transformed():
        found = vjp(varied_update, *points)[1](cotangents)
    else:
        with torch.enable_grad():
            points = [tensor.requires_grad_() for tensor in points]
            results = varied_update(*points)
        found = torch.autograd.grad(results, points, cotangents, materialize_grads=True)
    given = iter(found)
    by_phi, by_gradient = next(given), next(given)
    states = [next(given) if is_learnable(tensor) else tensor for tensor in of_state]
    by_state: State = tree_unflatten(states, tree_flatten(of_state)[1])
    return by_gradient, Cotangents(by_phi, by_state, tuple(given))


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


def learnable(optimizer: InnerOptimizer) -> tuple[Tensor, ...]:
    """Return the optimiser's tensors that can be learnt, such as a step size for each weight."""
    return tuple(leaf for leaf in tree_leaves(optimizer) if is_learnable(leaf))


def is_learnable(leaf: Any) -> bool:
    """Tell whether something can be varied: a vector of floats."""
    return isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.dim() > 0
