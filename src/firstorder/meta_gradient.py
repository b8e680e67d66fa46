"""The update directions of the paper, each beside its equation, as pure functions.

A task is the sequence of its mini-batches L_1, ..., L_k (Section 5.1). A direction is a vector in
weight space, (d,), that the outer optimiser descends. Those of the first-order algorithms are
weight changes, as in the authors' code: under SGD, alpha times the gradients of the paper's equations;
under Adam, the rescaled steps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vjp
from torch.utils._pytree import tree_map

from firstorder.inner_loop import Batch, Loss, step, trajectory
from firstorder.inner_optimizer import InnerOptimizer, State


class MetaGradient(NamedTuple):
    """Hold a task's direction (d,), the inner state it leaves, and its first and last inner losses."""

    direction: Tensor
    state: State
    first_loss: Tensor
    last_loss: Tensor


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
    return MetaGradient(direction, state, losses[0], losses[-1])


def reptile(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Point away from the adapted weights: phi - U^k(phi) (Algorithm 1, Eq. 40)."""
    steps = list(trajectory(loss, optimizer, phi, state, batches))
    return MetaGradient(phi - steps[-1].phi, steps[-1].state, steps[0].loss, steps[-1].loss)


def fomaml(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Keep the last inner step alone: phi_k - phi_{k+1}, under SGD alpha g_k (Eq. 38)."""
    steps = list(trajectory(loss, optimizer, phi, state, batches))
    direction = steps[-2].phi - steps[-1].phi
    return MetaGradient(direction, steps[-1].state, steps[0].loss, steps[-1].loss)


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
    return MetaGradient(direction, state, losses[0], losses[-1])


def maml(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Differentiate through the inner loop: d/dphi L_k(U_{k-1}(... U_1(phi))) (Eq. 3 and 18)."""
    *inner, last = batches

    def outer(phi: Tensor) -> tuple[Tensor, tuple[State, Tensor]]:
        steps = list(trajectory(loss, optimizer, phi, state, inner))
        return loss(steps[-1].phi, *last), (steps[-1].state, steps[0].loss)

    direction, (value, (final, first)) = grad_and_value(outer, has_aux=True)(phi)
    return MetaGradient(direction, final, first, value)


def maml_checkpointed(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Multiply out U'_1 ... U'_{k-1} L'_k(phi_k) from the right (Eq. 19), the same value as `maml`.

    Only the iterates are kept, (k - 1) d numbers, and the activations of one step at a time.
    """
    *inner, last = batches
    points: list[tuple[Tensor, State]] = [(phi, state)]
    for taken in trajectory(loss, optimizer, phi, state, inner):
        points.append((taken.phi, taken.state))
        if len(points) == 2:
            first = taken.loss
    gradient, value = grad_and_value(loss)(points[-1][0], *last)
    cotangent = (gradient, tree_map(torch.zeros_like, points[-1][1]))
    for (phi_j, state_j), batch in zip(reversed(points[:-1]), reversed(inner), strict=True):

        def update(phi: Tensor, state: State, batch: Batch = batch) -> tuple[Tensor, State]:
            taken = step(loss, optimizer, phi, state, batch)
            return taken.phi, taken.state

        pull_back = vjp(update, phi_j, state_j)[1]
        cotangent = pull_back(cotangent)
    return MetaGradient(cotangent[0], points[-1][1], first, value)


def maml_first_order(
    loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
) -> MetaGradient:
    """Treat the inner steps as constants: the gradient L'_k(phi_k) itself (Section 2)."""
    *inner, last = batches
    steps = list(trajectory(loss, optimizer, phi, state, inner))
    gradient, value = grad_and_value(loss)(steps[-1].phi, *last)
    return MetaGradient(gradient, steps[-1].state, steps[0].loss, value)
