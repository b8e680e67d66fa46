import torch
from torch import Tensor
from torch.func import grad

from firstorder.algo import Reptile
from firstorder.algo.base import Context
from firstorder.inner_loop import adapt

SETTINGS = {"inner_steps": 3, "inner_batch_size": 4, "inner_lr": 0.05}
PHI = torch.linspace(-1, 1, 5, dtype=torch.float64)
X = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
BATCHES = [(x, x.sum(1).sin()) for x in X]


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ((x @ phi).tanh() - y).square().sum()


def test_reptile_points_from_the_adapted_weights_to_phi() -> None:
    """Algorithm 1: phi - epsilon * direction is phi + epsilon (adapted - phi)."""
    reptile = Reptile(**SETTINGS)
    state = reptile.optimizer.init(PHI)
    adapted, after = adapt(loss, reptile.optimizer, PHI, state, BATCHES)
    found = reptile.meta_gradient(loss, {"phi": PHI}, state, BATCHES, Context())
    assert torch.equal(found.direction["phi"], PHI - adapted)
    assert all(torch.equal(a, b) for a, b in zip(found.state, after, strict=True))


def test_one_step_is_stochastic_gradient_descent_on_the_expected_loss() -> None:
    """Eq. 6-7."""
    reptile = Reptile(
        **{**SETTINGS, "inner_steps": 1}, inner_optimizer="sgd", divide_by_inner_lr=True
    )
    found = reptile.meta_gradient(loss, {"phi": PHI}, (), BATCHES[:1], Context())
    torch.testing.assert_close(found.direction["phi"], grad(loss)(PHI, *BATCHES[0]))


def test_under_sgd_the_direction_is_alpha_times_the_sum_of_gradients() -> None:
    """Eq. 40."""
    reptile = Reptile(**SETTINGS, inner_optimizer="sgd")
    phi, total = PHI, torch.zeros_like(PHI)
    for batch in BATCHES:
        gradient = grad(loss)(phi, *batch)
        total, phi = total + gradient, phi - 0.05 * gradient
    found = reptile.meta_gradient(loss, {"phi": PHI}, (), BATCHES, Context())
    torch.testing.assert_close(found.direction["phi"], 0.05 * total)


def test_the_losses_are_those_of_the_first_and_the_last_step() -> None:
    reptile = Reptile(**SETTINGS, inner_optimizer="sgd")
    found = reptile.meta_gradient(loss, {"phi": PHI}, (), BATCHES, Context())
    before_last, _ = adapt(loss, reptile.optimizer, PHI, (), BATCHES[:-1])
    assert found.first_loss == loss(PHI, *BATCHES[0])
    assert found.last_loss == loss(before_last, *BATCHES[-1])
