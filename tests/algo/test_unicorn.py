import torch
from torch import nn

from firstorder.algo.base import Context
from firstorder.algo.unicorn import Unicorn
from firstorder.meta_gradient import maml
from firstorder.network import Network
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import TaskLoss


def test_classes_may_be_numbered_in_any_order_and_the_gradient_is_of_one_row() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    network, x = Network(module), torch.randn(4, 6, 2, dtype=torch.float64)
    loss, context = TaskLoss(network, cross_entropy, "mean"), Context(network.layout)
    labels, order = torch.randint(3, (4, 6)), torch.tensor([2, 0, 1])
    unicorn = Unicorn(inner_steps=4, inner_batch_size=6, inner_lr=0.1, inner_optimizer="sgd")
    meta = {"phi": network.initial()}
    batches, others = (list(zip(x, y, strict=True)) for y in (labels, order[labels]))
    adapted, _ = unicorn.adapt(loss, meta, (), batches, context)
    renumbered, _ = unicorn.adapt(loss, meta, (), others, context)
    outputs = network.predict(adapted, x[0])
    torch.testing.assert_close(network.predict(renumbered, x[0])[:, order], outputs)
    found = unicorn.meta_gradient(loss, meta, (), batches, context).direction["phi"]
    again = unicorn.meta_gradient(loss, meta, (), others, context).direction["phi"]
    torch.testing.assert_close(found, again)
    rows = network.unflatten(found)["2.weight"]
    torch.testing.assert_close(rows, rows.mean(0).expand(3, 5))
    autograd = maml(lambda meta: unicorn.inner(loss, meta, context), meta, (), batches)
    torch.testing.assert_close(found, autograd.direction["phi"])


def test_without_second_derivatives_its_gradient_goes_through_the_mean_too() -> None:
    torch.manual_seed(0)
    network = Network(nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 3)).double())
    loss, context = TaskLoss(network, cross_entropy, "mean"), Context(network.layout)
    x, labels = torch.randn(4, 6, 2, dtype=torch.float64), torch.randint(3, (4, 6))
    unicorn = Unicorn(
        inner_steps=4, inner_batch_size=6, inner_lr=0.1, inner_optimizer="sgd", first_order=True
    )
    batches = list(zip(x, labels, strict=True))
    found = unicorn.meta_gradient(loss, {"phi": network.initial()}, (), batches, context).direction
    rows = network.unflatten(found["phi"])["2.weight"]
    torch.testing.assert_close(
        rows, torch.zeros(3, 5, dtype=torch.float64)
    )  # softmax sees no row itself
