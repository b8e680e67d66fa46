from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from firstorder.algo import MAML
from firstorder.algo.base import Context
from firstorder.algo.meta_sgd import MetaSGD
from firstorder.data.interop import import_learn2learn
from firstorder.network import Network
from firstorder.task.loss import TaskLoss
from firstorder.task.regression import squared_error

SETTINGS: dict[str, Any] = {
    "inner_steps": 4, "inner_batch_size": 6, "inner_lr": 0.05, "inner_optimizer": "sgd",
}  # fmt: skip


def problem() -> tuple[nn.Module, TaskLoss, Context, list[tuple[torch.Tensor, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    network = Network(module)
    x = torch.randn(4, 6, 2, dtype=torch.float64, generator=generator)
    batches = [(each, each.sum(1, keepdim=True).sin()) for each in x]
    return module, TaskLoss(network, squared_error, "sum"), Context(network.layout), batches


def test_with_equal_step_sizes_its_gradient_of_phi_is_mamls() -> None:
    _, loss, context, batches = problem()
    meta = MetaSGD(**SETTINGS).meta_parameters(loss.network)
    assert (meta["alpha"] == 0.05).all()
    found = MetaSGD(**SETTINGS).meta_gradient(loss, meta, (), batches, context)
    expected = MAML(**SETTINGS).meta_gradient(loss, {"phi": meta["phi"]}, (), batches, context)
    torch.testing.assert_close(found.direction["phi"], expected.direction["phi"])


@pytest.mark.parametrize("is_random", [False, True], ids=["product", "autograd"])
def test_its_gradients_are_those_of_learn2learn(is_random: bool) -> None:
    module, loss, context, batches = problem()
    rule, context = MetaSGD(**SETTINGS), replace(context, is_random=is_random)
    meta = rule.meta_parameters(loss.network)
    found = rule.meta_gradient(loss, meta, (), batches, context).direction
    theirs = import_learn2learn("algorithms.meta_sgd").MetaSGD(module, lr=0.05)
    learner = theirs.clone()
    for x, y in batches[:-1]:
        learner.adapt(squared_error(learner(x), y).sum())
    x, y = batches[-1]
    squared_error(learner(x), y).sum().backward()
    phi = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
    alpha = torch.cat([p.grad.flatten() for p in theirs.lrs if p.grad is not None])
    torch.testing.assert_close(found["phi"], phi, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found["alpha"], alpha, rtol=1e-9, atol=1e-12)


def test_what_would_leave_the_step_sizes_unlearnt_is_refused() -> None:
    for change in ({"inner_optimizer": "adam"}, {"first_order": True}):
        with pytest.raises(ValueError, match=r"leave algo\.inner_optimizer=sgd"):
            MetaSGD(**{**SETTINGS, **change})
    with pytest.raises(ValueError, match=r"eval\.inner_lr=0\.1"):
        MetaSGD(**SETTINGS).with_inner_lr(0.1)


@pytest.mark.parametrize("is_random", [False, True], ids=["product", "autograd"])
def test_weight_decay_is_that_of_gradient_descent(is_random: bool) -> None:
    _, loss, context, batches = problem()
    settings, context = (
        {**SETTINGS, "inner_options": {"weight_decay": 0.3}},
        replace(context, is_random=is_random),
    )
    meta = MetaSGD(**settings).meta_parameters(loss.network)
    adapted, _ = MetaSGD(**settings).adapt(loss, meta, (), batches, context)
    expected, _ = MAML(**settings).adapt(loss, meta, (), batches, context)
    torch.testing.assert_close(adapted, expected)
    found = MetaSGD(**settings).meta_gradient(loss, meta, (), batches, context)
    plain = MAML(**settings).meta_gradient(loss, {"phi": meta["phi"]}, (), batches, context)
    torch.testing.assert_close(found.direction["phi"], plain.direction["phi"])
