import pytest
import torch
from torch import Tensor
from torch.func import grad

from firstorder.inner_loop import adapt, trajectory
from firstorder.inner_optimizer import SGD, Adam, InnerOptimizer


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A small loss that is not quadratic."""
    return ((x @ phi).tanh() - y).square().sum()


def batches(count: int, dtype: torch.dtype = torch.float64) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    return [(draw(6, 4), draw(6)) for _ in range(count)]


def by_torch(
    optimizer: torch.optim.Optimizer, phi: Tensor, data: list[tuple[Tensor, Tensor]]
) -> Tensor:
    for x, y in data:
        optimizer.zero_grad()
        loss(phi, x, y).backward()
        optimizer.step()
    return phi.detach()


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (SGD(0.03), torch.optim.SGD, {"lr": 0.03}),
        (Adam(0.03), torch.optim.Adam, {"lr": 0.03, "betas": (0.0, 0.999)}),
        (Adam(0.03, beta1=0.9), torch.optim.Adam, {"lr": 0.03, "betas": (0.9, 0.999)}),
        (Adam(0.03, beta2=0.9, eps=0.1), torch.optim.Adam,
         {"lr": 0.03, "betas": (0.0, 0.9), "eps": 0.1}),
    ],
)  # fmt: skip
def test_steps_are_those_of_torch_optim(
    ours: InnerOptimizer, theirs: type, options: dict[str, object]
) -> None:
    phi, data = torch.linspace(-1, 1, 4, dtype=torch.float64), batches(20)
    adapted, _ = adapt(loss, ours, phi, ours.init(phi), data)
    leaf = phi.clone().requires_grad_()
    torch.testing.assert_close(adapted, by_torch(theirs([leaf], **options), leaf, data))


def test_adam_keeps_its_first_digits_in_single_precision() -> None:
    data = batches(3, torch.float32)
    phi, adam = torch.linspace(-1, 1, 4), Adam(0.03)
    adapted, _ = adapt(loss, adam, phi, adam.init(phi), data)
    leaf = phi.clone().requires_grad_()
    expected = by_torch(torch.optim.Adam([leaf], lr=0.03, betas=(0.0, 0.999)), leaf, data)
    torch.testing.assert_close(adapted, expected, rtol=1e-6, atol=1e-6)


def test_adam_leaves_a_weight_without_gradient_alone() -> None:
    adam, phi = Adam(0.1), torch.ones(3)
    moved, _ = adam.update(phi, torch.tensor([0.0, 1.0, -1.0]), adam.init(phi))
    torch.testing.assert_close(moved, torch.tensor([1.0, 0.9, 1.1]))


def test_adam_can_be_differentiated_through_where_a_gradient_is_zero() -> None:
    adam, phi = Adam(0.1), torch.ones(2, dtype=torch.float64, requires_grad=True)
    moved, _ = adam.update(phi, phi * torch.tensor([0.0, 1.0]), adam.init(phi.detach()))
    (gradient,) = torch.autograd.grad(moved.sum(), phi)
    assert torch.isfinite(gradient).all()


def test_adams_state_flows_on_from_call_to_call() -> None:
    adam, phi, data = Adam(0.03), torch.zeros(4, dtype=torch.float64), batches(6)
    whole, state = adapt(loss, adam, phi, adam.init(phi), data)
    half, between = adapt(loss, adam, phi, adam.init(phi), data[:3])
    again, after = adapt(loss, adam, half, between, data[3:])
    torch.testing.assert_close(again, whole)
    assert all(torch.equal(a, b) for a, b in zip(after, state, strict=True))


@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.1)])
def test_adapting_changes_nothing_of_the_callers(optimizer: InnerOptimizer) -> None:
    phi = torch.ones(4, dtype=torch.float64)
    state = optimizer.init(phi)
    before = [tensor.clone() for tensor in (phi, *state)]
    adapt(loss, optimizer, phi, state, batches(3))
    assert all(torch.equal(a, b) for a, b in zip(before, (phi, *state), strict=True))


def test_a_trajectory_says_where_each_step_led_and_what_it_saw() -> None:
    sgd, phi, data = SGD(0.1), torch.ones(4, dtype=torch.float64), batches(3)
    steps = list(trajectory(loss, sgd, phi, (), data))
    assert steps[0].loss == loss(phi, *data[0])
    for before, after, batch in zip([phi, *(s.phi for s in steps)], steps, data, strict=False):
        torch.testing.assert_close(after.phi, before - 0.1 * grad(loss)(before, *batch))
