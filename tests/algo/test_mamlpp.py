from typing import Any

import pytest
import torch
from torch import Tensor

from firstorder.algo import MAML
from firstorder.algo.base import Context
from firstorder.algo.mamlpp import MAMLPP
from firstorder.model import Conv4
from firstorder.network import Layout, Network

SETTINGS: dict[str, Any] = {
    "inner_steps": 4, "inner_batch_size": 4, "inner_lr": 0.05, "inner_optimizer": "sgd",
}  # fmt: skip
LAYOUT = Layout({"body": torch.Size([3]), "head": torch.Size([2])})
PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
X = torch.randn(4, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCHES = [(x, x.sum(1).sin()) for x in X]
ALPHA = torch.tensor([[0.05, 0.02], [0.03, 0.04], [0.01, 0.06]], dtype=torch.float64)


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def direction(rule: MAMLPP, alpha: Tensor, iteration: int) -> dict[str, Tensor]:
    context = Context(LAYOUT, iteration=iteration, iterations=100)
    meta = {"phi": PHI, "alpha": alpha}
    state = rule.inner(loss, meta, context).optimizer.init(PHI)
    return rule.meta_gradient(loss, meta, state, BATCHES, context).direction


def test_late_in_training_and_with_equal_step_sizes_it_is_maml() -> None:
    found = direction(MAMLPP(**SETTINGS), torch.full_like(ALPHA, 0.05), iteration=50)
    maml = MAML(**SETTINGS).meta_gradient(loss, {"phi": PHI}, (), BATCHES, Context())
    torch.testing.assert_close(found["phi"], maml.direction["phi"])


@pytest.mark.parametrize("iteration", [0, 5, 50])
def test_its_gradients_are_those_that_autograd_finds(iteration: int) -> None:
    rule = MAMLPP(**SETTINGS, first_order_share=0.0)
    weights = rule.loss_weights(Context(iteration=iteration, iterations=100))
    phi, alpha = PHI.clone().requires_grad_(), ALPHA.clone().requires_grad_()
    total, after = torch.zeros((), dtype=torch.float64), phi
    for batch, rates, weight in zip(BATCHES, alpha, weights, strict=False):
        (gradient,) = torch.autograd.grad(loss(after, *batch), after, create_graph=True)
        after = after - rates.repeat_interleave(torch.tensor([3, 2])) * gradient
        total = total + weight * loss(after, *BATCHES[-1])
    expected = torch.autograd.grad(total, (phi, alpha))
    found = direction(rule, ALPHA, iteration)
    torch.testing.assert_close((found["phi"], found["alpha"]), expected)


def test_early_in_training_it_leaves_the_second_derivatives_out() -> None:
    early, late = (direction(MAMLPP(**SETTINGS, multi_step=0.0), ALPHA, i) for i in (29, 30))
    after = PHI
    for batch, rates in zip(BATCHES, ALPHA, strict=False):
        gradient = torch.func.grad(loss)(after, *batch)
        after = after - rates.repeat_interleave(torch.tensor([3, 2])) * gradient
    torch.testing.assert_close(early["phi"], torch.func.grad(loss)(after, *BATCHES[-1]))
    assert not torch.allclose(early["phi"], late["phi"])


def test_the_weights_of_the_losses_come_to_the_last_one() -> None:
    rule = MAMLPP(**SETTINGS, multi_step=0.5)
    weights = [rule.loss_weights(Context(iteration=i, iterations=10)) for i in range(11)]
    assert weights[0] == pytest.approx([1 / 3] * 3)
    assert weights[5] == weights[10] == [0, 0, 1]
    assert all(sum(each) == pytest.approx(1) for each in weights)


def test_at_evaluation_later_steps_take_the_last_step_size() -> None:
    rule, context = MAMLPP(**SETTINGS), Context(LAYOUT)
    loop = rule.inner(loss, {"phi": PHI, "alpha": ALPHA}, context)
    phi, state = PHI, loop.optimizer.init(PHI)
    for step in range(5):
        moved, state = loop.optimizer.update(phi, torch.ones_like(phi), state)
        rates = ALPHA[min(step, 2)].repeat_interleave(torch.tensor([3, 2]))
        torch.testing.assert_close(phi - moved, rates)
        phi = moved


def test_what_would_leave_the_step_sizes_unlearnt_is_refused() -> None:
    for change in ({"inner_optimizer": "adam"}, {"first_order": True}):
        with pytest.raises(ValueError, match=r"leave algo\.inner_optimizer=sgd"):
            MAMLPP(**{**SETTINGS, **change})
    with pytest.raises(ValueError, match=r"eval\.inner_lr=0\.1"):
        MAMLPP(**SETTINGS).with_inner_lr(0.1)


def test_a_network_that_draws_random_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"algo=mamlpp .* set model\.dropout=0"):
        MAMLPP(**SETTINGS).must_take(Network(Conv4(5, dropout=0.1)))
