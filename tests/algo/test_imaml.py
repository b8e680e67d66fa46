import pytest
import torch
from torch import Tensor

from firstorder.algo.base import Context
from firstorder.algo.imaml import IMAML
from firstorder.model import Conv4
from firstorder.network import Network
from firstorder.second_order import conjugate_gradient

D, STRENGTH = 5, 0.7


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_where_adapting_converges_it_is_the_derivative_of_the_loss_there() -> None:
    """With L = (phi - c)' A (phi - c) / 2 adapting ends at (A + lambda)^-1 (A c + lambda phi)."""
    torch.manual_seed(0)
    root, eye = drawn(D, D), torch.eye(D, dtype=torch.float64)
    a, phi, c, q = root @ root.T / D, drawn(D), drawn(D), drawn(D)

    def quadratic(phi: Tensor, a: Tensor, c: Tensor) -> Tensor:
        return (phi - c) @ a @ (phi - c) / 2

    rule = IMAML(
        inner_steps=400, inner_batch_size=1, inner_lr=0.2, inner_optimizer="sgd",
        proximal=STRENGTH, solver_steps=D,
    )  # fmt: skip
    batches = [(a, c)] * 399 + [(eye, q)]
    found = rule.meta_gradient(quadratic, {"phi": phi}, (), batches, Context())
    inverse = torch.linalg.inv(a + STRENGTH * eye)
    adapted = inverse @ (a @ c + STRENGTH * phi)
    torch.testing.assert_close(found.last_loss, quadratic(adapted, eye, q))
    torch.testing.assert_close(found.direction["phi"], STRENGTH * inverse @ (adapted - q))


def test_conjugate_gradient_solves_each_row_and_stays_finite_once_done() -> None:
    torch.manual_seed(0)
    root, b = drawn(D, D), drawn(3, D)
    a = root @ root.T + torch.eye(D, dtype=torch.float64)
    expected = torch.linalg.solve(a, b.T).T
    torch.testing.assert_close(conjugate_gradient(lambda v: v @ a, b, D), expected)
    torch.testing.assert_close(conjugate_gradient(lambda v: v @ a, b, 50), expected)
    assert torch.equal(conjugate_gradient(lambda v: -v, b, 3), torch.zeros_like(b))


def test_a_network_that_draws_random_numbers_and_a_loop_without_steps_are_refused() -> None:
    settings = {"inner_batch_size": 1, "inner_lr": 0.1}
    with pytest.raises(ValueError, match=r"algo\.inner_steps=1: IMAML"):
        IMAML(inner_steps=1, **settings)  # type: ignore[arg-type]
    rule = IMAML(inner_steps=2, **settings)  # type: ignore[arg-type]
    rule.must_take(Network(Conv4(5)))
    with pytest.raises(ValueError, match=r"algo=imaml .* set model\.dropout=0"):
        rule.must_take(Network(Conv4(5, dropout=0.1)))
