"""Find an outer iteration that was not finite some iterations later, and undo it and what came after.

To ask a GPU in each iteration whether its result is finite would be to wait for it in each.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from lightning import Trainer
from torch import Tensor
from torch.utils._pytree import tree_map_only

from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta

ON_GPU = 16  # iterations between two checks; each keeps a copy of what is learnt


class NotFiniteError(ValueError):
    """Training diverged; the weights are still those before the bad iteration."""


class Before(NamedTuple):
    """Everything that an outer iteration changes, as it was before.

    Attributes:
        iteration: outer iterations done.
        batches: meta-batches done, as Lightning counts them.
        meta: what is learnt, copied.
        state: the inner optimiser's.
        optimizer: the outer optimiser's state, copied.
    """

    iteration: int
    batches: int
    meta: Meta
    state: State
    optimizer: dict[str, Any]


class Iteration(NamedTuple):
    """One that nobody has looked at: what was before, whether it is finite, and its two losses."""

    before: Before
    is_finite: Tensor
    losses: Tensor


def remember(
    trainer: Trainer, optimizer: torch.optim.Optimizer, meta: Meta, state: State
) -> Before:
    """Copy what the next outer iteration changes."""
    batches = trainer.fit_loop.epoch_loop.batch_progress.total.completed
    kept = tree_map_only(Tensor, torch.clone, (dict(meta), optimizer.state_dict()["state"]))
    return Before(trainer.global_step, batches, kept[0], state, kept[1])


def put_back(
    before: Before, trainer: Trainer, optimizer: torch.optim.Optimizer, meta: Meta
) -> None:
    """Restore what is learnt, the outer optimiser, and the counts of iterations; not the inner state."""
    for name, tensor in meta.items():
        tensor.copy_(before.meta[name])
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": before.optimizer, "param_groups": groups})
    loop = trainer.fit_loop.epoch_loop
    loop.batch_progress.increment_by(before.batches - loop.batch_progress.total.completed)
    steps = loop.manual_optimization.optim_step_progress
    steps.increment_by(before.iteration - steps.total.completed)


def first_bad(iterations: list[Iteration]) -> int | None:
    """Return the place of the first iteration that is not finite, waiting for all of them."""
    flags = torch.stack([one.is_finite for one in iterations]).tolist() if iterations else []
    return flags.index(False) if False in flags else None


def are_finite(tensors: Iterable[Tensor]) -> Tensor:
    """Tell whether no tensor holds NaN or infinity, in one pass over each; () bool, on their device."""
    return torch.stack([tensor.sum() for tensor in tensors]).isfinite().all()
