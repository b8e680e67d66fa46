from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from firstorder.algo import MAML
from firstorder.algo.anil import ANIL
from firstorder.algo.base import Context
from firstorder.data.interop import import_learn2learn
from firstorder.network import Network
from firstorder.task.loss import TaskLoss
from firstorder.task.regression import squared_error

SETTINGS: dict[str, Any] = {
    "inner_steps": 4, "inner_batch_size": 6, "inner_lr": 0.05, "inner_optimizer": "sgd",
}  # fmt: skip


def problem() -> tuple[nn.Sequential, TaskLoss, Context, list[tuple[torch.Tensor, torch.Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Sequential(nn.Linear(2, 5), nn.Tanh()), nn.Linear(5, 1)).double()
    network = Network(module)
    x = torch.randn(4, 6, 2, dtype=torch.float64, generator=generator)
    batches = [(each, each.sum(1, keepdim=True).sin()) for each in x]
    return module, TaskLoss(network, squared_error, "sum"), Context(network.layout), batches


@pytest.mark.parametrize("inner_optimizer", ["sgd", "adam"])
def test_with_all_layers_adapting_it_is_maml(inner_optimizer: str) -> None:
    _, loss, context, batches = problem()
    settings = {**SETTINGS, "inner_optimizer": inner_optimizer}
    meta = {"phi": loss.network.initial()}
    state = MAML(**settings).optimizer.init(meta["phi"])
    expected = MAML(**settings).meta_gradient(loss, meta, state, batches, context)
    found = ANIL(**settings, layers=[""]).meta_gradient(loss, meta, state, batches, context)
    torch.testing.assert_close(found.direction["phi"], expected.direction["phi"])


def test_only_the_head_adapts_and_all_layers_learn() -> None:
    _, loss, context, batches = problem()
    phi = loss.network.initial()
    anil = ANIL(**SETTINGS)
    adapted, _ = anil.adapt(loss, {"phi": phi}, (), batches, context)
    head = context.layout.mask(["1"])
    assert torch.equal(adapted[~head], phi[~head])
    assert (adapted[head] != phi[head]).all()
    direction = anil.meta_gradient(loss, {"phi": phi}, (), batches, context).direction["phi"]
    assert (direction != 0).all()


@pytest.mark.parametrize("is_random", [False, True], ids=["product", "autograd"])
def test_its_gradient_is_that_of_learn2learns_maml_on_the_head(is_random: bool) -> None:
    module, loss, context, batches = problem()
    phi = loss.network.initial()
    rule, context = ANIL(**SETTINGS), replace(context, is_random=is_random)
    found = rule.meta_gradient(loss, {"phi": phi}, (), batches, context).direction["phi"]
    features, head = module
    learner = import_learn2learn("algorithms.maml").MAML(head, lr=0.05).clone()
    for x, y in batches[:-1]:
        learner.adapt(squared_error(learner(features(x)), y).sum())
    x, y = batches[-1]
    squared_error(learner(features(x)), y).sum().backward()
    expected = torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_weight_decay_shrinks_what_adapts() -> None:
    _, loss, context, batches = problem()
    phi, head = loss.network.initial() + 1, context.layout.mask(["1"])
    plain, decayed = (
        ANIL(**SETTINGS, inner_options=options).adapt(loss, {"phi": phi}, (), batches[:1], context)[
            0
        ]
        for options in ({}, {"weight_decay": 0.5})
    )
    assert torch.equal(decayed[~head], phi[~head])
    assert (decayed[head] != plain[head]).all()


def test_a_layer_is_named_whole_and_has_to_be_there() -> None:
    """`features.1` is not `features.10`, nor `head` `head_norm`."""
    module = nn.ModuleDict({"head_norm": nn.LayerNorm(2), "head": nn.Linear(2, 1)})
    network = Network(nn.Sequential(nn.Linear(1, 1), *[nn.Linear(1, 1) for _ in range(10)]))
    assert network.layout.mask(["1"]).sum() == 2
    assert Network(module).layout.mask(["head"]).sum() == 3
    ANIL(**SETTINGS, layers=["1", "10.bias"]).must_take(network)
    with pytest.raises(ValueError, match=r"algo\.layers=.*no layer haed; .* head_norm.weight"):
        ANIL(**SETTINGS, layers=["haed"]).must_take(Network(module))
