import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._inductor.exc import InvalidCxxCompiler
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from firstorder.algo.base import Context
from firstorder.algo.meta_sgd import MetaSGD
from firstorder.engine import engine_call, set_engines
from firstorder.engines import inductor as compilation
from firstorder.engines.build import has_compiler
from firstorder.engines.inductor import WORTHWHILE, Compiler, is_worthwhile
from firstorder.inner_loop import Batch, adapt, step
from firstorder.inner_optimizer import SGD, Adam, State
from firstorder.model import MLP
from firstorder.model.layers import SameConv2d
from firstorder.model.pixelcnn import MaskedConv2d
from firstorder.network import Network
from firstorder.second_order import recorded_step, step_vjp
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import TaskLoss
from firstorder.task.regression import squared_error

OPTIMIZER = Adam(lr=0.01)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    conv = SameConv2d(1, 4, stride=2, bias=False), SameConv2d(4, 4, stride=1, bias=False)
    conv[1].requires_grad_(False)
    pixel = MaskedConv2d(4, 2, 1, sees_itself=True)  # it has a buffer
    layers = conv[0], norm, nn.ReLU(), conv[1], pixel, nn.Flatten(), nn.Linear(32, 3)
    return Network(nn.Sequential(*layers))


@pytest.fixture
def task() -> list[Batch]:
    torch.manual_seed(0)
    return [(torch.rand(6, 1, 8, 8), torch.arange(6) % 3) for _ in range(4)]


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    set_engines()


@pytest.mark.slow
@pytest.mark.timeout(600)  # half a minute of one core, shared with other tests
def test_compiled_steps_are_the_steps_and_are_kept(
    network: Network, task: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To float tolerance; and a later run loads what this one compiled."""
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    loss = TaskLoss(network, cross_entropy, "sum")
    phi = network.initial()
    state = OPTIMIZER.init(phi)

    def run() -> tuple[Tensor, State]:
        return adapt(loss, OPTIMIZER, phi, state, task)

    before = phi.clone()
    expected, expected_state = run()
    set_engines(Compiler(step))
    found, found_state = run()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found_state, expected_state, rtol=1e-3, atol=1e-5)
    assert torch.equal(phi, before)

    assert len(list(tmp_path.rglob("*.pt2"))) == 1
    monkeypatch.setattr(compilation, "build", None)
    set_engines(Compiler(step))
    again, _ = run()
    assert torch.equal(again, found)


def test_the_product_of_maml_is_compiled_with_what_an_optimiser_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    torch.manual_seed(0)
    network = Network(MLP(hidden=[4]))
    loss, rule = (
        TaskLoss(network, squared_error, "sum"),
        MetaSGD(inner_steps=3, inner_batch_size=5, inner_lr=0.05, inner_optimizer="sgd"),
    )
    meta, x = rule.meta_parameters(network), torch.rand(5, 1)
    batches = [(x, (x + i).sin()) for i in range(3)]
    arguments = loss, meta, (), batches, Context(network.layout)
    expected = rule.meta_gradient(*arguments).direction
    set_engines(Compiler(recorded_step, step_vjp))
    found = rule.meta_gradient(*arguments).direction
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert len(list(tmp_path.rglob("*.pt2"))) == 2


def test_what_is_compiled_in_counts_for_what_is_kept() -> None:
    """Networks that differ in nothing but frozen weights or a mask are not taken for one."""

    def identity_of(weight: float, mask: float) -> str:
        layer = nn.Linear(1, 1).requires_grad_(False)
        nn.init.constant_(layer.weight, weight)
        nn.init.zeros_(layer.bias)
        layer.register_buffer("mask", torch.tensor([mask]))
        graph = make_fx(lambda x: layer(x * layer.mask))(torch.ones(1))
        return compilation.identity(graph, [torch.ones(1)])

    names = [identity_of(*both) for both in ((1, 1), (2, 1), (1, 0), (1, 1))]
    assert len(set(names)) == 3
    assert names[0] == names[3]


def test_a_step_inside_grad_or_vmap_runs_as_written() -> None:
    @engine_call
    def square(x: Tensor) -> Tensor:
        return (x * x).sum()

    class Forbidden(Compiler):
        def run(self, *_: object) -> None:  # type: ignore[override]
            raise AssertionError

    set_engines(Forbidden())
    x = torch.arange(3.0)
    assert torch.equal(grad(square)(x), 2 * x)
    assert torch.equal(vmap(square)(x[:, None]), x**2)
    with pytest.raises(AssertionError):
        square(x)


def test_a_step_that_compiling_cannot_help_runs_as_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compilation, "build", None)
    network = Network(nn.Sequential(SameConv2d(8, 1, stride=1, bias=False), nn.Flatten()))
    loss = TaskLoss(network, squared_error, "mean")
    x, phi = torch.rand(2, 8, 96, 96), network.initial()
    arguments = loss, SGD(lr=0.01), phi, (), (x, torch.zeros(2, 96 * 96))
    expected = step(*arguments)
    set_engines(Compiler(step))
    torch.testing.assert_close(step(*arguments), expected)


def test_a_step_knows_its_own_name() -> None:
    assert step.__name__ == "step"


def test_short_runs_are_not_compiled_unless_asked_to() -> None:
    assert not is_worthwhile("auto", WORTHWHILE - 1)
    assert is_worthwhile("auto", WORTHWHILE)
    assert is_worthwhile("always", 1)
    assert not has_compiler("never")


def test_without_a_cpp_compiler_a_run_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr("firstorder.engines.build.get_cpp_compiler", none)
    with caplog.at_level(logging.WARNING):
        assert not has_compiler("auto")
    assert "no C++ compiler" in caplog.text
    with pytest.raises(ValueError, match=r"trainer\.compile=always needs a C\+\+ compiler"):
        has_compiler("always")


def test_a_misspelt_setting_is_answered() -> None:
    with pytest.raises(
        ValueError, match=r"trainer\.compile=alway is not known, did you mean always"
    ):
        has_compiler("alway")
