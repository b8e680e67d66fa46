from typing import Any

import pytest
import torch
from torch import Tensor

from firstorder.algo import FOMAML, MAML
from firstorder.algo.base import Context
from firstorder.inner_loop import adapt
from firstorder.inner_optimizer import SGD

SETTINGS: dict[str, Any] = {"inner_steps": 3, "inner_batch_size": 4, "inner_lr": 0.05}
PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
X = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCHES = [(x, x.sum(1).sin()) for x in X]


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def direction(maml: MAML | FOMAML) -> Tensor:
    return maml.meta_gradient(
        loss, {"phi": PHI}, maml.optimizer.init(PHI), BATCHES, Context()
    ).direction["phi"]


@pytest.mark.parametrize("inner_optimizer", ["sgd", "adam"])
def test_the_direction_is_what_autograd_finds(inner_optimizer: str) -> None:
    maml = MAML(**SETTINGS, inner_optimizer=inner_optimizer)
    phi = after = PHI.clone().requires_grad_()
    state = maml.optimizer.init(PHI)
    for batch in BATCHES[:-1]:
        (gradient,) = torch.autograd.grad(loss(after, *batch), after, create_graph=True)
        after, state = maml.optimizer.update(after, gradient, state)
    (expected,) = torch.autograd.grad(loss(after, *BATCHES[-1]), phi)
    torch.testing.assert_close(direction(maml), expected)


def test_a_network_that_draws_random_numbers_is_differentiated_as_it_ran() -> None:
    def noisy(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return loss(phi * torch.bernoulli(torch.full_like(phi, 0.5)), x, y)

    maml, after = MAML(**SETTINGS, inner_optimizer="sgd"), PHI.clone().requires_grad_()
    torch.manual_seed(0)
    found = maml.meta_gradient(noisy, {"phi": PHI}, (), BATCHES, Context(is_random=True))
    torch.manual_seed(0)
    phi = after
    for batch in BATCHES[:-1]:
        (gradient,) = torch.autograd.grad(noisy(after, *batch), after, create_graph=True)
        after = after - 0.05 * gradient
    (expected,) = torch.autograd.grad(noisy(after, *BATCHES[-1]), phi)
    torch.testing.assert_close(found.direction["phi"], expected)


def test_first_order_is_the_gradient_where_adapting_leads() -> None:
    adapted, _ = adapt(loss, SGD(0.05), PHI, (), BATCHES[:-1])
    expected = torch.func.grad(loss)(adapted, *BATCHES[-1])
    first = MAML(**SETTINGS, inner_optimizer="sgd", first_order=True)
    torch.testing.assert_close(direction(first), expected)


def test_under_sgd_fomaml_steps_along_the_first_order_gradient() -> None:
    first = MAML(**SETTINGS, inner_optimizer="sgd", first_order=True)
    torch.testing.assert_close(
        direction(FOMAML(**SETTINGS, inner_optimizer="sgd")), 0.05 * direction(first)
    )


def test_a_gradient_after_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"algo.inner_steps=1: MAML .* at least 2"):
        MAML(**{**SETTINGS, "inner_steps": 1})
