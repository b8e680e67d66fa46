"""Gradients, Hessians times vectors and Adam's derivative in C++, against the same as written."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from firstorder.algo import MAML
from firstorder.algo.anil import ANIL
from firstorder.algo.base import Context
from firstorder.algo.meta_sgd import MetaSGD
from firstorder.engine import set_engines
from firstorder.engines.native import NativeSteps
from firstorder.inner_loop import Loss, gradient_and_value, repeat_for_tasks, update
from firstorder.inner_optimizer import Adam, AdamState
from firstorder.second_order import Point, hessian_vector, update_vjp
from firstorder.task.classification import Classification
from firstorder.task.loss import SumOverTasks
from tests.engines.test_native import SIZES, doubled, moments, problem


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    set_engines()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def engine() -> NativeSteps:
    return NativeSteps(required=True)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("reduction", "smoothing"), [("sum", 0.0), ("mean", 0.0), ("sum", 0.3)])
def test_derivatives_are_those_of_autograd(
    engine: NativeSteps, size: str, reduction: str, smoothing: float
) -> None:
    loss, phi, batch = problem(size, reduction)
    loss = replace(loss, criterion=Classification().smoothed(smoothing))
    vector, before = torch.randn_like(phi), engine.taken
    gradient, value = gradient_and_value(loss, *doubled((phi, batch)))
    product = hessian_vector(loss, *doubled((phi, batch, vector)))
    set_engines(engine)
    found, loss_found = gradient_and_value(loss, phi, batch)
    assert relative_error(found, gradient) < 1e-4
    torch.testing.assert_close(loss_found.double(), value, rtol=1e-5, atol=0)
    assert relative_error(hessian_vector(loss, phi, batch, vector), product) < 2e-4
    assert engine.taken == before + 2


@pytest.mark.parametrize("size", SIZES)
def test_the_number_of_threads_changes_no_bit(engine: NativeSteps, size: str) -> None:
    loss, phi, batch = problem(size)
    vector, found = torch.randn_like(phi), []
    set_engines(engine)
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(hessian_vector(loss, phi, batch, vector))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_many_tasks_have_the_derivatives_of_each(engine: NativeSteps) -> None:
    loss, phi, (x, y) = problem("an odd pool")
    many, images, labels = torch.stack([phi, 0.9 * phi]), torch.rand(2, *x.shape), y.expand(2, -1)
    vectors = torch.randn_like(many)
    set_engines(engine)
    found = hessian_vector(SumOverTasks(loss), many, (images, labels), vectors)
    each = [hessian_vector(loss, many[i], (images[i], y), vectors[i]) for i in range(2)]
    assert torch.equal(found, torch.stack(each))


@pytest.mark.parametrize(
    "adam", [Adam(1e-3), Adam(1e-3, beta1=0.5, eps=1e-3)], ids=["", "momentum"]
)
def test_adam_and_its_derivative_are_those_as_written(engine: NativeSteps, adam: Adam) -> None:
    phi = problem("an odd stride")[1]
    gradient, of_phi = torch.randn_like(phi) / 10, torch.randn_like(phi)
    state, of_state = moments(adam, phi), moments(adam, phi)
    gradient[:100] = state.v[:100] = 0  # dead units
    point = Point(phi, gradient, state)
    exact = doubled((point, of_phi, of_state))
    expected = update(adam, *exact[0]), update_vjp(adam, *exact)
    set_engines(engine)
    found = update(adam, *point), update_vjp(adam, point, of_phi, of_state)
    torch.testing.assert_close(doubled(found), expected, rtol=1e-3, atol=1e-5)
    assert isinstance(found[0][1], AdamState)


@pytest.mark.parametrize("inner_optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("rule", [MAML, ANIL, MetaSGD])
@pytest.mark.parametrize("parallel", [False, True], ids=["alone", "tasks at once"])
def test_meta_gradients_are_those_as_written(
    engine: NativeSteps, rule: type[MAML], inner_optimizer: str, parallel: bool
) -> None:
    if rule is MetaSGD and inner_optimizer == "adam":
        pytest.skip("it learns the step sizes of gradient descent")
    loss, phi, (x, y) = problem("an odd stride")
    algorithm = rule(
        inner_steps=3, inner_batch_size=4, inner_lr=1e-2, inner_optimizer=inner_optimizer
    )
    meta: dict[str, Tensor] = {**algorithm.meta_parameters(loss.network), "phi": phi}
    # From a state in mid-run: Adam's first step is the gradient's sign, which rounding may flip.
    state, context = moments(algorithm.optimizer, phi), Context(loss.network.layout)
    objective: Loss = loss
    if parallel:
        meta, state = repeat_for_tasks(meta, 2), repeat_for_tasks(state, 2)
        objective, x, y = SumOverTasks(loss), x.expand(2, *x.shape), y.expand(2, -1)
    batches = [(torch.rand_like(x), y) for _ in range(3)]
    expected = algorithm.meta_gradient(objective, *doubled((meta, state, batches)), context)
    before = engine.taken
    set_engines(engine)
    found = algorithm.meta_gradient(objective, meta, state, batches, context)
    assert engine.taken == before + 5
    for name, direction in expected.direction.items():
        assert relative_error(found.direction[name], direction) < 1e-2
    torch.testing.assert_close(found.last_loss.double(), expected.last_loss, rtol=1e-4, atol=0)
