from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap
from torch.profiler import profile

from firstorder import meta_gradient
from firstorder.inner_loop import Batch, InnerLoop, Loss, adapt
from firstorder.inner_optimizer import SGD, Adam, InnerOptimizer, State
from firstorder.meta_gradient import (
    MetaGradient,
    combination,
    fomaml,
    joint,
    maml_first_order,
    reptile,
)


def of_phi(rule: Callable[..., MetaGradient]) -> Callable[..., MetaGradient]:
    """Call a rule of meta-parameters for phi alone, like the first-order ones."""

    def call(
        loss: Loss, optimizer: InnerOptimizer, phi: Tensor, state: State, batches: Sequence[Batch]
    ) -> MetaGradient:
        def inner(meta: dict[str, Tensor]) -> InnerLoop:
            return InnerLoop(loss, optimizer, meta["phi"])

        return rule(inner, {"phi": phi}, state, batches)

    return call


maml, maml_product = of_phi(meta_gradient.maml), of_phi(meta_gradient.maml_product)
D, ALPHA = 6, 0.05
PHI = torch.linspace(-1, 1, D, dtype=torch.float64)
INNER = pytest.mark.parametrize("optimizer", [SGD(ALPHA), Adam(ALPHA)], ids=["sgd", "adam"])
DIRECTIONS: dict[str, Callable[..., MetaGradient]] = {
    "reptile": reptile, "fomaml": fomaml, "joint": joint, "maml": maml,
    "maml_product": maml_product, "maml_first_order": maml_first_order,
    "combination": partial(combination, weights=[0.3, -1.0, 2.0]),
}  # fmt: skip
EVERY = pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS.keys())


def loss(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A small loss that is not quadratic."""
    return ((x @ phi).tanh() - y).square().sum()


def linear(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """A loss without curvature."""
    return (x @ phi * y).sum()


def batches(count: int, seed: int = 0) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return [(draw(7, D), draw(7)) for _ in range(count)]


def warm(optimizer: InnerOptimizer) -> tuple[Tensor, ...]:
    """Return the state that a task before this one left."""
    return adapt(loss, optimizer, PHI, optimizer.init(PHI), batches(3, seed=1))[1]


@INNER
@pytest.mark.parametrize("k", [2, 3, 7])
@pytest.mark.parametrize("rule", [maml, maml_product])
def test_maml_is_the_derivative_of_the_loss_after_adapting(
    rule: Callable[..., MetaGradient], k: int, optimizer: InnerOptimizer
) -> None:
    """Eq. 3 and 18, by central differences."""
    state, data, h = warm(optimizer), batches(k), 1e-6

    def after_adapting(phi: Tensor) -> Tensor:
        return loss(adapt(loss, optimizer, phi, state, data[:-1])[0], *data[-1])

    steps = h * torch.eye(D, dtype=torch.float64)
    expected = [(after_adapting(PHI + e) - after_adapting(PHI - e)) / (2 * h) for e in steps]
    found = rule(loss, optimizer, PHI, state, data).direction["phi"]
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-8)


def test_on_quadratic_losses_maml_is_the_product_of_eq_21() -> None:
    """With L_i = (phi - c_i)' A_i (phi - c_i) / 2: (I - a A_1) (I - a A_2) A_3 (phi_3 - c_3)."""
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(3, D, D, generator=generator, dtype=torch.float64)
    curvatures = roots @ roots.mT / D
    centers = torch.randn(3, D, generator=generator, dtype=torch.float64)

    def quadratic(phi: Tensor, a: Tensor, c: Tensor) -> Tensor:
        return (phi - c) @ a @ (phi - c) / 2

    found = maml(quadratic, SGD(ALPHA), PHI, (), list(zip(curvatures, centers, strict=True)))
    phi = PHI
    for a, c in zip(curvatures[:2], centers[:2], strict=True):
        phi = phi - ALPHA * a @ (phi - c)
    expected = curvatures[2] @ (phi - centers[2])
    for a in (curvatures[1], curvatures[0]):
        expected = expected - ALPHA * a @ expected
    torch.testing.assert_close(found.direction["phi"], expected)


@INNER
def test_the_product_is_all_that_maml_returns(optimizer: InnerOptimizer) -> None:
    state, data = warm(optimizer), batches(20)
    whole = maml(loss, optimizer, PHI, state, data)
    saved = maml_product(loss, optimizer, PHI, state, data)
    torch.testing.assert_close(saved, whole, rtol=1e-10, atol=1e-12)


def test_the_product_keeps_long_inner_loops_out_of_memory() -> None:
    width, k = 400, 30
    data = [(torch.randn(64, 8), torch.randn(64)) for _ in range(k)]

    def wide(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return ((x @ phi.view(8, width)).tanh().sum(1) - y).square().mean()

    def peak(rule: Callable[..., MetaGradient]) -> int:
        with profile(profile_memory=True) as found:
            rule(wide, SGD(1e-3), torch.ones(8 * width), (), data)
        sizes = [e.cpu_memory_usage for e in found.events() or [] if e.name == "[memory]"]
        return int(torch.tensor(sizes).cumsum(0).max())

    assert peak(maml_product) < peak(maml) / 5


def test_where_the_hessian_vanishes_first_order_is_all_of_maml() -> None:
    data = batches(4)
    exact = maml(linear, SGD(ALPHA), PHI, (), data).direction["phi"]
    assert torch.equal(maml_first_order(linear, SGD(ALPHA), PHI, (), data).direction["phi"], exact)
    torch.testing.assert_close(
        fomaml(linear, SGD(ALPHA), PHI, (), data).direction["phi"], ALPHA * exact
    )


def test_under_sgd_fomaml_is_alpha_times_the_first_order_gradient_of_maml() -> None:
    """Eq. 38."""
    data = batches(4)
    gradient = maml_first_order(loss, SGD(ALPHA), PHI, (), data).direction["phi"]
    torch.testing.assert_close(
        fomaml(loss, SGD(ALPHA), PHI, (), data).direction["phi"], ALPHA * gradient
    )


@INNER
def test_fomaml_is_the_last_weight_change(optimizer: InnerOptimizer) -> None:
    state, data = warm(optimizer), batches(4)
    before, between = adapt(loss, optimizer, PHI, state, data[:3])
    after, left = adapt(loss, optimizer, before, between, data[3:])
    found = fomaml(loss, optimizer, PHI, state, data)
    assert torch.equal(found.direction["phi"], before - after)
    torch.testing.assert_close(found.state, left)


def test_under_sgd_reptile_is_alpha_times_the_sum_of_gradients() -> None:
    """Eq. 40."""
    phi, total = PHI, torch.zeros_like(PHI)
    for batch in batches(5):
        gradient = grad(loss)(phi, *batch)
        total, phi = total + gradient, phi - ALPHA * gradient
    found = reptile(loss, SGD(ALPHA), PHI, (), batches(5)).direction["phi"]
    torch.testing.assert_close(found, ALPHA * total)


def test_with_one_step_reptile_is_gradient_descent_on_the_expected_loss() -> None:
    """Eq. 6-7: averaged over tasks, the direction is alpha times the gradient of their mean loss."""
    tasks = [batches(1, seed) for seed in range(5)]
    directions = [reptile(loss, SGD(ALPHA), PHI, (), task).direction["phi"] for task in tasks]
    expected = grad(lambda phi: sum(loss(phi, *task[0]) for task in tasks) / 5)(PHI)
    torch.testing.assert_close(sum(directions) / 5, ALPHA * expected)


def test_under_sgd_joint_training_takes_every_gradient_at_phi() -> None:
    """Eq. 6-7 for each mini-batch."""
    expected = sum(grad(loss)(PHI, *batch) for batch in batches(4))
    found = joint(loss, SGD(ALPHA), PHI, (), batches(4)).direction["phi"]
    torch.testing.assert_close(found, ALPHA * expected)


@INNER
def test_all_weights_one_is_reptile(optimizer: InnerOptimizer) -> None:
    state, data = warm(optimizer), batches(4)
    found = combination(loss, optimizer, PHI, state, data, [1.0] * 4)
    torch.testing.assert_close(found, reptile(loss, optimizer, PHI, state, data))


@INNER
def test_the_last_weight_alone_is_shared_tail_fomaml(optimizer: InnerOptimizer) -> None:
    state, data = warm(optimizer), batches(4)
    found = combination(loss, optimizer, PHI, state, data, [0.0, 0.0, 0.0, 1.0])
    torch.testing.assert_close(found, fomaml(loss, optimizer, PHI, state, data))


@INNER
def test_the_first_weight_alone_is_joint_training_on_the_first_mini_batch(
    optimizer: InnerOptimizer,
) -> None:
    state, data = warm(optimizer), batches(4)
    found = combination(loss, optimizer, PHI, state, data, [1.0, 0.0, 0.0, 0.0])
    expected = joint(loss, optimizer, PHI, state, data[:1])
    torch.testing.assert_close(found.direction["phi"], expected.direction["phi"])


@INNER
def test_a_combination_is_linear_in_its_weights(optimizer: InnerOptimizer) -> None:
    state, data = warm(optimizer), batches(3)

    def direction(weights: Sequence[float]) -> Tensor:
        return combination(loss, optimizer, PHI, state, data, weights).direction["phi"]

    both = direction([2.0, 0.5, -1.0])
    torch.testing.assert_close(both, 2 * direction([1, 0.25, 0]) - direction([0, 0, 1]))


@EVERY
@INNER
def test_adapting_changes_nothing_of_the_callers(
    direction: Callable[..., MetaGradient], optimizer: InnerOptimizer
) -> None:
    phi, state, data = PHI.clone(), warm(optimizer), batches(3)
    mine = [phi, *state, *(tensor for batch in data for tensor in batch)]
    before = [tensor.clone() for tensor in mine]
    found = direction(loss, optimizer, phi, state, data)
    assert all(torch.equal(a, b) for a, b in zip(before, mine, strict=True))
    assert not found.direction["phi"].requires_grad
    assert phi.grad is None


@EVERY
@INNER
def test_tasks_at_once_have_the_directions_of_tasks_alone(
    direction: Callable[..., MetaGradient], optimizer: InnerOptimizer
) -> None:
    state, tasks = warm(optimizer), [batches(3, seed) for seed in range(4)]
    stacked = [
        tuple(torch.stack(field) for field in zip(*batch, strict=True))
        for batch in zip(*tasks, strict=True)
    ]
    at_once = vmap(lambda data: direction(loss, optimizer, PHI, state, data).direction["phi"])(
        stacked
    )
    alone = [direction(loss, optimizer, PHI, state, data).direction["phi"] for data in tasks]
    torch.testing.assert_close(at_once, torch.stack(alone))


@EVERY
def test_the_losses_are_those_of_the_first_and_the_last_mini_batch(
    direction: Callable[..., MetaGradient],
) -> None:
    data = batches(3)
    found = direction(loss, SGD(ALPHA), PHI, (), data)
    last = PHI if direction is joint else adapt(loss, SGD(ALPHA), PHI, (), data[:-1])[0]
    torch.testing.assert_close(found.first_loss, loss(PHI, *data[0]))
    torch.testing.assert_close(found.last_loss, loss(last, *data[-1]))
