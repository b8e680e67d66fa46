from typing import Any

import torch
from torch import Tensor
from torch.func import grad

from firstorder.algo import Joint, Reptile
from firstorder.algo.base import Context

SETTINGS: dict[str, Any] = {"inner_batch_size": 4, "inner_lr": 0.05}
PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
X = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCHES = [(x, x.sum(1).sin()) for x in X]


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def test_under_sgd_a_task_is_one_step_on_all_its_samples() -> None:
    """Eq. 6-7."""
    found = Joint(**SETTINGS, inner_steps=3, inner_optimizer="sgd").meta_gradient(
        loss, {"phi": PHI}, (), BATCHES, Context()
    )
    everything = X.reshape(12, 5), torch.cat([y for _, y in BATCHES])
    torch.testing.assert_close(found.direction["phi"], 0.05 * grad(loss)(PHI, *everything))


def test_one_mini_batch_is_reptile() -> None:
    joint, reptile = (kind(**SETTINGS, inner_steps=1) for kind in (Joint, Reptile))
    state = joint.optimizer.init(PHI)
    torch.testing.assert_close(
        joint.meta_gradient(loss, {"phi": PHI}, state, BATCHES[:1], Context()),
        reptile.meta_gradient(loss, {"phi": PHI}, state, BATCHES[:1], Context()),
    )


def test_the_order_of_mini_batches_does_not_matter() -> None:
    joint = Joint(**SETTINGS, inner_steps=3, inner_optimizer="sgd")
    torch.testing.assert_close(
        joint.meta_gradient(loss, {"phi": PHI}, (), BATCHES, Context()).direction["phi"],
        joint.meta_gradient(loss, {"phi": PHI}, (), BATCHES[::-1], Context()).direction["phi"],
    )
