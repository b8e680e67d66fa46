import pytest
import torch
from torch import Tensor
from torch.func import grad, jacrev

from firstorder.analysis.expansion import (
    Expansion,
    average_gradients,
    expected_direction,
    fit,
    orders,
    predicted,
)
from firstorder.data import Sinusoid
from firstorder.model import MLP

PHI = torch.linspace(-1, 1, 4, dtype=torch.float64)
X = torch.randn(5, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
Y = X.sum(2).sin()


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().mean()


@pytest.mark.parametrize("prime", [3, 5, 11])
def test_each_pair_of_places_holds_each_pair_of_mini_batches_once(prime: int) -> None:
    found = orders(prime)
    assert len(found) == prime * (prime - 1)
    for i in range(prime):
        for j in set(range(prime)) - {i}:
            assert len({tuple(pair) for pair in found[:, [i, j]].tolist()}) == len(found)


def test_the_averages_are_those_of_gradients_and_hessians_written_out() -> None:
    """Eq. 28-29."""
    gradients = [grad(loss)(PHI, x, y) for x, y in zip(X, Y, strict=True)]
    hessians = [jacrev(jacrev(loss))(PHI, x, y) for x, y in zip(X, Y, strict=True)]
    pairs = [hessians[i] @ gradients[j] for i in range(5) for j in range(5) if i != j]
    avg_grad, inner = average_gradients(loss, PHI, X, Y)
    torch.testing.assert_close(avg_grad, torch.stack(gradients).mean(0))
    torch.testing.assert_close(inner, torch.stack(pairs).mean(0))


def test_avg_grad_inner_is_half_the_slope_of_gradients_inner_products() -> None:
    """Eq. 32."""

    def agreement(phi: Tensor) -> Tensor:
        gradients = torch.stack([grad(loss)(phi, x, y) for x, y in zip(X, Y, strict=True)])
        products = gradients @ gradients.T
        return (products.sum() - products.trace()) / (5 * 4)

    _, inner = average_gradients(loss, PHI, X, Y)
    torch.testing.assert_close(inner, grad(agreement)(PHI) / 2)


@pytest.mark.parametrize("algorithm", ["MAML", "FOMAML", "Reptile"])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_the_derivative_in_alpha_is_the_predicted_coefficient_of_avg_grad_inner(
    algorithm: str, k: int
) -> None:
    """Eq. 37, 39, 41, without a fit: (g(alpha) - g(0)) / alpha, extrapolated to alpha = 0."""
    avg_grad, inner = average_gradients(loss, PHI, X, Y)
    a, b = predicted(algorithm, k)

    def slope(alpha: float) -> Tensor:
        return (expected_direction(algorithm, loss, PHI, X, Y, k, alpha) - a * avg_grad) / alpha

    torch.testing.assert_close(2 * slope(1e-4) - slope(2e-4), -b * inner, rtol=1e-4, atol=1e-6)


def test_a_fit_finds_the_coefficients_of_a_combination() -> None:
    one, other = PHI, PHI.square()
    assert fit(3 * one - 5e-7 * other, one, other, 1e-7) == pytest.approx([3, 5])


def test_a_small_tanh_network_has_the_coefficients_of_the_paper() -> None:
    torch.manual_seed(0)
    study = Expansion(
        source=Sinusoid(), model=MLP(hidden=(8, 8)), tasks=2, steps=(2, 4), alphas=(1e-6, 1e-5)
    )
    table = study.measure()
    small = table[table.alpha == 1e-6]
    assert small.avg_grad.to_numpy() == pytest.approx(small.avg_grad_predicted, rel=1e-4)
    assert small.avg_grad_inner.to_numpy() == pytest.approx(
        small.avg_grad_inner_predicted, rel=0.01
    )
    assert [float(order) for order in study.summarise(table).order] == pytest.approx(
        [2] * 6, abs=0.1
    )
    ratio = (small.avg_grad_inner / small.avg_grad)[small.k == 4].tolist()
    assert ratio == sorted(ratio, reverse=True)  # MAML > FOMAML > Reptile
    assert len(study.draw(table).axes) == 6


def test_a_k_that_no_task_can_give_is_refused() -> None:
    with pytest.raises(ValueError, match=r"analysis.steps\[0\]=12 must be at most 11"):
        Expansion(source=Sinusoid(), model=MLP(), steps=(12,))
