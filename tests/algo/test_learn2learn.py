"""Our gradients are those of learn2learn, an implementation by others."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from firstorder.algo import FOMAML, MAML, MetaAlgorithm
from firstorder.algo.base import Context
from firstorder.data.interop import import_learn2learn
from firstorder.inner_loop import Batch
from firstorder.model import MLP, Conv4
from firstorder.network import Network
from firstorder.task import Classification, Regression, TaskKind
from firstorder.task.loss import TaskLoss

LR = 0.02
SETTINGS: dict[str, Any] = {
    "inner_steps": 4,
    "inner_batch_size": 10,
    "inner_lr": LR,
    "inner_optimizer": "sgd",
}


def waves() -> tuple[nn.Module, TaskKind, list[Batch]]:
    generator = torch.Generator().manual_seed(0)
    x = 10 * torch.rand(4, 10, 1, generator=generator, dtype=torch.float64) - 5
    return MLP(hidden=(20, 20)).double(), Regression(), [(each, 3 * each.sin()) for each in x]


def images() -> tuple[nn.Module, TaskKind, list[Batch]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, 10, 1, 28, 28, generator=generator, dtype=torch.float64)
    y = torch.randint(5, (4, 10), generator=generator)
    module = Conv4(num_classes=5, filters=6).double()
    return module, Classification(), list(zip(x, y, strict=True))


def of_learn2learn(
    module: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], batches: list[Batch], first: bool
) -> Tensor:
    """Return the gradient that learn2learn's MAML leaves in the module's parameters, (d,)."""
    maml = import_learn2learn("algorithms.maml").MAML(module, lr=LR, first_order=first)
    learner = maml.clone()
    for x, y in batches[:-1]:
        learner.adapt(loss(learner(x), y))
    x, y = batches[-1]
    loss(learner(x), y).backward()
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])


@pytest.mark.parametrize("task", [waves, images])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("first_order", [False, True], ids=["maml", "fomaml"])
def test_gradients_are_those_of_learn2learn(
    task: Callable[[], tuple[nn.Module, TaskKind, list[Batch]]], reduction: str, first_order: bool
) -> None:
    torch.manual_seed(0)
    module, kind, batches = task()
    network = Network(module)
    loss = TaskLoss(network, kind.criterion, reduction)
    phi = network.initial()

    def theirs(prediction: Tensor, target: Tensor) -> Tensor:
        each = kind.criterion(prediction, target)
        return each.sum() if reduction == "sum" else each.mean()

    expected = of_learn2learn(module, theirs, batches, first_order)
    rules: list[MetaAlgorithm] = [
        MAML(**SETTINGS, loss_reduction=reduction, first_order=first_order)
    ]
    if first_order:
        rules.append(FOMAML(**SETTINGS, loss_reduction=reduction))
    for rule in rules:
        # FOMAML's direction is a weight change, the step size times the gradient.
        scale = 1 / LR if isinstance(rule, FOMAML) else 1.0
        found = (
            scale * rule.meta_gradient(loss, {"phi": phi}, (), batches, Context()).direction["phi"]
        )
        size = expected.abs().max().item()
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11 * size)
