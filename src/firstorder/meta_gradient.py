"""The update directions of the paper, each beside its equation, as pure functions.

A task is the sequence of its mini-batches L_1, ..., L_k (Section 5.1). A direction holds a tensor for
each meta-parameter, which the outer optimiser descends; that of phi is a vector in weight space, (d,).
Those of the first-order algorithms are weight changes, as in the authors' code: under SGD, alpha times
the gradients of the paper's equations; under Adam, the rescaled steps.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vjp
from torch.utils._pytree import tree_map

from firstorder.engine import engine_call
from firstorder.inner_loop import Batch, InnerLoop, Loss, gradient_and_value, step, trajectory
from firstorder.inner_optimizer import InnerOptimizer, State
from firstorder.second_order import learnable, recorded_step, step_vjp

Meta = dict[str, Tensor]  # what the outer loop learns: "phi", and what else an algorithm has


class MetaGradient(NamedTuple):
    """A task's direction, the inner state that it leaves, and its first and last inner losses."""

    direction: Meta
    state: State
    first_loss: Tensor
    last_loss: Tensor


@engine_call
def combination(
    loss: Loss,
    optimizer: InnerOptimizer,
    phi: Tensor,
    state: State,
    batches: Sequence[Batch],
    weights: Sequence[float],
) -> MetaGradient:
    """Weigh the inner steps: sum_i w_i (phi_i - phi_{i+1}), under SGD alpha sum_i w_i g_i (Sec. 6.2).

    Reptile is w = (1, ..., 1), shared-tail FOMAML (0, ..., 0, 1), joint training (1, 0, ..., 0).
    """
    direction, losses = torch.zeros_like(phi), []
    for taken, weight in zip(
        trajectory(loss, optimizer, phi, state, batches), weights, strict=True
    ):
        direction = direction + weight * (phi - taken.phi)
        phi, state = taken.phi, taken.state
        losses.append(taken.loss)
    return MetaGradient({"phi": direction}, state, losses[0], losses[-1])


@engine_call
def reptile(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Point away from the adapted weights: phi - U^k(phi) (Algorithm 1, Eq. 40)."""
    steps = list(trajectory(loss, optimizer, phi, state, batches))
    direction = {"phi": phi - steps[-1].phi}
    return MetaGradient(direction, steps[-1].state, steps[0].loss, steps[-1].loss)


@engine_call
def fomaml(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Keep the last inner step alone: phi_k - phi_{k+1}, under SGD alpha g_k (Eq. 38)."""
    steps = list(trajectory(loss, optimizer, phi, state, batches))
    direction = {"phi": steps[-2].phi - steps[-1].phi}
    return MetaGradient(direction, steps[-1].state, steps[0].loss, steps[-1].loss)


@engine_call
def joint(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Take every gradient at phi itself: under SGD alpha sum_i L'_i(phi) (Eq. 6-7 for each batch).

    It is Reptile without the movement between the steps: the same samples and step size, no
    AvgGradInner (Eq. 41).
    """
    direction, losses = torch.zeros_like(phi), []
    for batch in batches:
        taken = step(loss, optimizer, phi, state, batch)
        direction = direction + (phi - taken.phi)
        state = taken.state
        losses.append(taken.loss)
    return MetaGradient({"phi": direction}, state, losses[0], losses[-1])


def maml(
    inner: Callable[[Meta], InnerLoop],
    meta: Meta,
    state: State,
    batches: Sequence[Batch],
) -> MetaGradient:
    """Differentiate through the inner loop: d/dphi L_k(U_{k-1}(... U_1(phi))) (Eq. 3 and 18).

    `inner` makes the inner loop of the meta-parameters, so that the gradient is one for each of them.
    """
    *support, query = batches

    def outer(meta: Meta) -> tuple[Tensor, tuple[State, Tensor]]:
        loop = inner(meta)
        steps = list(trajectory(*loop, state, support))
        return loop.loss(steps[-1].phi, *query), (steps[-1].state, steps[0].loss)

    direction, (value, (final, first)) = grad_and_value(outer, has_aux=True)(meta)
    return MetaGradient(direction, final, first, value)


def maml_product(
    inner: Callable[[Meta], InnerLoop],
    meta: Meta,
    state: State,
    batches: Sequence[Batch],
    weights: Sequence[float] = (1.0,),
    first_order: bool = False,
) -> MetaGradient:
    """Differentiate through the inner loop by Eq. 19, see `product`: the same value as `maml`.

    The loss draws no random numbers, for it is computed again on the way back, and depends on the
    meta-parameters through the weights only. `weights` and `first_order` are those of `product`.
    """
    loop = inner(meta)
    found = product(*loop, state, batches, tuple(weights), first_order)
    direction = by_meta(inner, meta, loop, found.phi, found.optimizer)
    return MetaGradient(direction, found.state, found.first_loss, found.last_loss)


def by_meta(
    inner: Callable[[Meta], InnerLoop],
    meta: Meta,
    loop: InnerLoop,
    phi: Tensor,
    optimizer: tuple[Tensor, ...] = (),
) -> Meta:
    """Return a scalar's derivatives by the meta-parameters, from those by the loop that they make.

    Args:
        inner, meta, loop: loop = inner(meta).
        phi: the derivative by the loop's start.
        optimizer: those by its optimiser's `learnable` tensors; none where they are constants.
    """
    if len(meta) == 1 and loop.phi is meta["phi"]:
        return {"phi": phi}

    def learnt(meta: Meta) -> tuple[Tensor, tuple[Tensor, ...]]:
        loop = inner(meta)
        return loop.phi, learnable(loop.optimizer)[: len(optimizer)]

    (direction,) = vjp(learnt, meta)[1]((phi, optimizer))
    return direction


class Product(NamedTuple):
    """The last loss's derivatives by the loop's start and by its optimiser, and what a loop leaves."""

    phi: Tensor
    optimizer: tuple[Tensor, ...]
    state: State
    first_loss: Tensor
    last_loss: Tensor


@engine_call
def product(
    loss: Loss,
    optimizer: InnerOptimizer,
    phi: Tensor,
    state: State,
    batches: Sequence[Batch],
    weights: tuple[float, ...] = (1.0,),
    first_order: bool = False,
) -> Product:
    """Multiply out U'_1 ... U'_{k-1} L'_k(phi_k) from the right (Eq. 19).

    U'_i is the optimiser's derivative, elementwise, and the Hessian L''_i times a vector. Only the
    iterates and their gradients are kept, 2 (k - 1) d numbers, and the activations of one step at a
    time.

    Args:
        loss, optimizer, phi: the inner loop.
        state: the inner optimiser's.
        batches: the task's mini-batches L_1, ..., L_k.
        weights: of L_k after the last steps: (..., w_{k-1}, w_k) of sum_i w_i L_k(phi_i).
        first_order: leave the Hessians out.
    """
    *support, query = batches
    points, losses = [], []
    after = [0.0] * (len(support) - len(weights)) + list(weights)
    for batch in support:
        point, (phi, state, value) = recorded_step(loss, optimizer, phi, state, batch)
        points.append((point, phi))
        losses.append(value)
    of_phi, of_state = torch.zeros_like(phi), tree_map(torch.zeros_like, state)
    of_optimizer = tuple(torch.zeros_like(tensor) for tensor in learnable(optimizer))
    last = None
    for (point, moved), batch, weight in reversed(list(zip(points, support, after, strict=True))):
        if weight:
            gradient, value = gradient_and_value(loss, moved, query)
            of_phi, last = of_phi + weight * gradient, value if last is None else last
        of_phi, of_state, of_step = step_vjp(
            loss, optimizer, point, batch, of_phi, of_state, first_order
        )
        of_optimizer = tuple(map(torch.add, of_optimizer, of_step))
    assert last is not None
    return Product(of_phi, of_optimizer, state, losses[0], last)


@engine_call
def maml_first_order(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Treat the inner steps as constants: the gradient L'_k(phi_k) itself (Section 2)."""
    *support, query = batches
    steps = list(trajectory(loss, optimizer, phi, state, support))
    gradient, value = gradient_and_value(loss, steps[-1].phi, query)
    return MetaGradient({"phi": gradient}, steps[-1].state, steps[0].loss, value)
