import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from firstorder.engine import set_engines
from firstorder.engines.native import AT_ONCE, NativeSteps, library
from firstorder.engines.native.covered import network_of
from firstorder.engines.native.library import build_library
from firstorder.engines.native.plan import Plan
from firstorder.inner_loop import adapt, repeat_for_tasks, step, trajectory
from firstorder.inner_optimizer import SGD, Adam, InnerOptimizer
from firstorder.model import MLP, Conv4
from firstorder.network import Network, predict
from firstorder.task.classification import cross_entropy
from firstorder.task.loss import SumOverTasks, TaskLoss
from firstorder.task.regression import squared_error

# An odd number of vectors, which the engine takes one by one: 8 numbers each, or 16 of AVX-512.
THREE_VECTORS = 3 * (16 if "avx512f" in library.processor().split() else 8)
SIZES: dict[str, tuple[int, dict[str, Any]]] = {  # images, and the network's arguments
    "omniglot": (10, {"num_classes": 5}),
    "an odd stride": (4, {"num_classes": 3, "in_channels": 2, "image_size": 19, "filters": 16}),
    "mini-imagenet, smaller": (
        6, {"num_classes": 5, "in_channels": 3, "image_size": 42, "filters": 32, "downsample": "pool"},
    ),
    "two blocks": (4, {"num_classes": 5, "in_channels": 3, "filters": THREE_VECTORS, "blocks": 2}),
    "six blocks": (
        5, {"num_classes": 5, "image_size": 24, "filters": 16, "downsample": "pool", "blocks": 6},
    ),
    "an odd pool": (3, {"num_classes": 2, "image_size": 21, "filters": 48, "downsample": "pool"}),
}  # fmt: skip
OPTIMIZERS = [SGD(0.5), Adam(1e-3), Adam(1e-3, beta1=0.5), Adam(1e-3, weight_decay=0.01)]


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    set_engines()
    build_library.cache_clear()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def engine() -> NativeSteps:
    return NativeSteps(required=True)


@pytest.fixture
def steps(engine: NativeSteps) -> Iterator[NativeSteps]:
    """Hold a test of what the engine computes to having used it: falling back would pass unseen."""
    before = engine.taken
    yield engine
    assert engine.taken > before


@pytest.fixture
def unused(engine: NativeSteps) -> Iterator[NativeSteps]:
    before = engine.taken
    yield engine
    assert engine.taken == before


def problem(size: str, reduction: str = "sum") -> tuple[TaskLoss, Tensor, tuple[Tensor, Tensor]]:
    """Make a network, weights near its initial ones, and a mini-batch of random images."""
    torch.manual_seed(0)
    n, arguments = SIZES[size]
    network = Network(Conv4(**arguments))
    phi = network.initial()
    side, channels = arguments.get("image_size", 28), arguments.get("in_channels", 1)
    x, y = torch.rand(n, channels, side, side), torch.arange(n) % arguments["num_classes"]
    return TaskLoss(network, cross_entropy, reduction), phi + 0.02 * torch.randn_like(phi), (x, y)


def moments(optimizer: InnerOptimizer, phi: Tensor) -> Any:
    """Make a state in the middle of a run."""
    state = optimizer.init(phi)
    if not state:
        return state
    m, v = torch.randn_like(phi) / 100, torch.rand_like(phi) / 100
    return type(state)(m, v, torch.tensor(7.0, dtype=phi.dtype))  # type: ignore[call-arg]


def doubled(value: Any) -> Any:
    return torch.utils._pytree.tree_map(lambda t: t.double() if t.is_floating_point() else t, value)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=["sgd", "adam", "momentum", "decay"])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_step_is_the_step_as_written(
    steps: NativeSteps, size: str, optimizer: InnerOptimizer, reduction: str
) -> None:
    """Against float64: where two pixels of a pool nearly tie, float32 may let the other one through."""
    loss, phi, batch = problem(size, reduction)
    state, before = moments(optimizer, phi), phi.clone()
    expected = step(loss, optimizer, *doubled((phi, state, batch)))
    set_engines(steps)
    found = step(loss, optimizer, phi, state, batch)
    moved = found.phi.double() - phi.double()
    error = moved - (expected.phi - phi.double())
    assert error.norm() < 1e-4 * moved.norm()
    torch.testing.assert_close(found.loss.double(), expected.loss, rtol=1e-5, atol=0)
    torch.testing.assert_close(doubled(found.state), expected.state, rtol=1e-3, atol=1e-5)
    assert torch.equal(phi, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_on_many_tasks_is_a_step_on_each(steps: NativeSteps, threads: int) -> None:
    """To the bit, whether threads take a task each or, of the third, share one that is left over."""
    torch.set_num_threads(threads)
    loss, phi, (x, y) = problem("omniglot")
    adam, scales = Adam(1e-3), torch.tensor([1.0, 0.9, 1.1])
    state = moments(adam, phi)
    images, labels = torch.rand(3, *x.shape), torch.stack([y, y.flip(0), y])
    many = scales[:, None] * phi
    set_engines(steps)
    found = step(
        SumOverTasks(loss), adam, many,
        state._replace(m=state.m.repeat(3, 1), v=state.v.repeat(3, 1)), (images, labels),
    )  # fmt: skip
    each = [step(loss, adam, many[i], state, (images[i], labels[i])) for i in range(3)]
    assert torch.equal(found.phi, torch.stack([e.phi for e in each]))
    assert torch.equal(found.state.v, torch.stack([e.state.v for e in each]))
    torch.testing.assert_close(found.loss, sum(e.loss for e in each))


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_adapting_is_one_step_after_the_other(steps: NativeSteps, weight_decay: float) -> None:
    """To the bit, though several steps of a task are taken in one go, and the state flows on."""
    loss, phi, (x, y) = problem("an odd stride")
    adam = Adam(1e-3, weight_decay=weight_decay)
    start = repeat_for_tasks((phi,), 3)[0], repeat_for_tasks(moments(adam, phi), 3)
    batches = [(torch.rand(3, *x.shape), y.expand(3, -1)) for _ in range(AT_ONCE + 3)]
    set_engines(steps)
    found, state = adapt(SumOverTasks(loss), adam, *start, iter(batches))
    expected = list(trajectory(SumOverTasks(loss), adam, *start, batches))[-1]
    assert torch.equal(found, expected.phi)
    assert all(torch.equal(a, b) for a, b in zip(state, expected.state, strict=True))
    assert adapt(loss, adam, phi, (), []) == (phi, ())


@pytest.mark.parametrize("size", SIZES)
def test_the_number_of_threads_changes_no_bit(steps: NativeSteps, size: str) -> None:
    loss, phi, batch = problem(size)
    set_engines(steps)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(step(loss, SGD(0.1), phi, (), batch))
    assert all(torch.equal(found[0].phi, other.phi) for other in found)
    assert all(torch.equal(found[0].loss, other.loss) for other in found)


@pytest.mark.parametrize("size", ["omniglot", "an odd pool"])
def test_nan_is_not_lost(steps: NativeSteps, size: str) -> None:
    loss, phi, (x, y) = problem(size)
    x[0, 0, 5, 5] = torch.nan
    set_engines(steps)
    found = step(loss, SGD(0.1), phi, (), (x, y))
    assert found.loss.isnan()
    assert found.phi.isnan().any()


@pytest.mark.parametrize("size", SIZES)
def test_a_prediction_is_the_network_output(steps: NativeSteps, size: str) -> None:
    loss, phi, (x, _) = problem(size)
    many, images = torch.stack([phi, 0.9 * phi, 1.1 * phi]), torch.rand(3, *x.shape)
    expected = predict(loss.network, many, images)
    set_engines(steps)
    torch.testing.assert_close(predict(loss.network, many, images), expected, rtol=1e-3, atol=1e-4)


def changed(module: Conv4, **changes: Any) -> Conv4:
    """Change a network after it was built, as a user may."""
    if "eps" in changes:
        module.features[1].eps = changes["eps"]
    if "layer" in changes:
        module.features[2] = changes["layer"]
    if "hook" in changes:
        module.head.register_forward_hook(changes["hook"])
    return module


@pytest.mark.parametrize(
    "module",
    [
        Conv4(3, conv_bias=True),
        Conv4(3, filters=10),
        MLP(784, outputs=3),
        changed(Conv4(3), eps=0.1),
        changed(Conv4(3), layer=nn.LeakyReLU()),
        changed(Conv4(3), hook=lambda module, x, y: 2 * y),
        type("Conv4", (Conv4,), {})(3),
    ],
)
def test_a_network_that_is_not_covered_runs_as_written(
    unused: NativeSteps, module: nn.Module
) -> None:
    network = Network(module)
    phi, batch = network.initial(), (torch.rand(3, 1, 28, 28), torch.arange(3))
    arguments = TaskLoss(network, cross_entropy, "sum"), SGD(0.1), phi, (), batch
    expected = step(*arguments)
    set_engines(unused)
    assert torch.equal(step(*arguments).phi, expected.phi)


class Twice(TaskLoss):
    def __call__(self, phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return 2 * super().__call__(phi, x, y)


def test_a_loss_that_is_not_covered_runs_as_written(unused: NativeSteps) -> None:
    loss, phi, batch = problem("an odd stride")
    twice = Twice(loss.network, cross_entropy, "sum")
    expected = step(twice, SGD(0.1), phi, (), batch)
    assert network_of(SumOverTasks(loss)) is loss.network
    for criterion in (squared_error, partial(cross_entropy, target=batch[1])):
        assert network_of(TaskLoss(loss.network, criterion, "sum")) is None
    set_engines(unused)
    assert torch.equal(step(twice, SGD(0.1), phi, (), batch).phi, expected.phi)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda phi, x, y: (phi, x.double(), y),
        lambda phi, x, y: (phi, x[..., :-4], y),
        lambda phi, x, y: (phi, x[:, :1], y),
        lambda phi, x, y: (phi[:-1], x, y),
        lambda phi, x, y: (phi, x, y[:-1]),
        lambda phi, x, y: (phi, x, y + 7),
        lambda phi, x, y: (phi.double(), x, y),
        lambda phi, x, y: (phi, x[None], y[None]),
        lambda phi, x, y: (phi, x[:1, :, :9, :9], y[:1]),
    ],
)
def test_inputs_that_do_not_fit_get_the_error_of_the_written_step(
    unused: NativeSteps, spoil: Any
) -> None:
    loss, phi, batch = problem("an odd stride")
    phi, x, y = spoil(phi, *batch)
    with pytest.raises((RuntimeError, IndexError, ValueError)) as written:
        step(loss, SGD(0.1), phi, (), (x, y))
    set_engines(unused)
    with pytest.raises(written.type):
        step(loss, SGD(0.1), phi, (), (x, y))
    with pytest.raises(written.type):
        adapt(loss, SGD(0.1), phi, (), [(x, y)])


def test_images_that_are_not_square_run_as_written(unused: NativeSteps) -> None:
    loss, phi, (x, y) = problem("an odd stride")
    expected = step(loss, SGD(0.1), phi, (), (x[..., :-1], y))
    set_engines(unused)
    assert torch.equal(step(loss, SGD(0.1), phi, (), (x[..., :-1], y)).phi, expected.phi)


def test_mini_batches_of_several_sizes_and_keywords_are_taken(steps: NativeSteps) -> None:
    loss, phi, (x, y) = problem("an odd stride")
    batches = [(x, y), (x[:3], y[:3]), (x, y)]
    expected, _ = adapt(loss, SGD(0.1), phi, (), batches)
    set_engines(steps)
    found, _ = adapt(loss=loss, optimizer=SGD(0.1), phi=phi, state=(), batches=iter(batches))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_threads_of_python_may_share_an_engine(steps: NativeSteps) -> None:
    loss, phi, (x, y) = problem("an odd stride")
    images = [torch.rand_like(x) for _ in range(2)]
    set_engines(steps)
    outputs = {id(x): predict(loss.network, phi[None], x[None]) for x in images}

    def run(x: Tensor) -> list[Tensor]:
        set_engines(steps)
        taken = [step(loss, SGD(0.1), phi, (), (x, y)).phi for _ in range(50)]
        assert torch.equal(predict(loss.network, phi[None], x[None]), outputs[id(x)])
        return taken

    with ThreadPoolExecutor(2) as pool:
        for taken in pool.map(run, images):
            assert all(torch.equal(taken[0], each) for each in taken)


def test_under_autocast_it_steps_aside(unused: NativeSteps) -> None:
    loss, phi, batch = problem("omniglot")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected = step(loss, SGD(0.1), phi, (), batch)
        set_engines(unused)
        assert torch.equal(step(loss, SGD(0.1), phi, (), batch).phi, expected.phi)


def test_the_library_is_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    build_library.cache_clear()
    build_library()
    build_library.cache_clear()
    monkeypatch.setattr(subprocess, "run", None)
    assert build_library().lanes() in (4, 8, 16)
    assert [path.suffix for path in tmp_path.rglob("conv4*") if path.suffix != ".lock"] == [".so"]


def test_structures_are_those_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field too many would be read as garbage, without a word."""
    monkeypatch.setattr(library, "COptimizer", library.CTensors)
    build_library.cache_clear()
    with pytest.raises(RuntimeError, match=r"structures take .* bytes"):
        build_library()


def test_parameters_are_those_of_python(engine: NativeSteps) -> None:
    """The module has weights that the plan knows nothing of."""
    module = Conv4(3)
    module.register_parameter("scale", nn.Parameter(torch.ones(1)))
    with pytest.raises(RuntimeError, match="does not compute this network"):
        Plan(build_library(), module, torch.rand(3, 1, 28, 28), 0.0)


@pytest.mark.parametrize("change", [{"pool": 3}, {"stride": 3}, {"filters": 10}, {"n": 0}])
def test_a_plan_that_does_not_fit_is_refused(change: dict[str, int]) -> None:
    """Windows wider than 2 x 2, say, would be written past their end."""
    sizes = {
        "n": 3, "channels": 1, "side": 28, "filters": 64, "blocks": 4, "stride": 1, "pool": 2, "ways": 3,
    }  # fmt: skip
    make = build_library().make_plan
    assert make(*(sizes | change).values(), 1e-3, 0, 1) is None
    plan = make(*sizes.values(), 1e-3, 0, 1)
    assert plan
    build_library().drop_plan(plan)


@pytest.mark.parametrize("isa", library.ISAS)
@pytest.mark.parametrize("size", SIZES)
def test_all_instructions_compute_the_same(
    isa: str, size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that this processor has, with their own tiles."""
    if not set(library.ISAS[isa][1]) <= set(library.processor().split()):
        pytest.skip(f"no {isa} here")
    monkeypatch.setenv("FIRSTORDER_NATIVE_ISA", isa)
    build_library.cache_clear()
    loss, phi, batch = problem(size)
    phi, state, batch = doubled((phi, moments(Adam(1e-3), phi), batch))
    expected = step(loss, Adam(1e-3), phi, state, batch)
    phi, state, (x, y) = phi.float(), type(state)(*(v.float() for v in state)), batch
    engine = NativeSteps(required=True)
    set_engines(engine)
    found = step(loss, Adam(1e-3), phi, state, (x.float(), y))
    moved = expected.phi - phi
    assert engine.taken
    assert (found.phi - phi - moved).norm() < 1e-4 * moved.norm()


def test_instructions_that_are_not_there_are_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At once, whatever `required` says: the setting was made on purpose."""
    monkeypatch.setenv("FIRSTORDER_NATIVE_ISA", "avx3")
    with pytest.raises(
        ValueError, match=r"FIRSTORDER_NATIVE_ISA=avx3 is not known, did you mean avx2\?"
    ):
        NativeSteps()
    monkeypatch.setenv("FIRSTORDER_NATIVE_ISA", "avx512")
    monkeypatch.setattr(library, "processor", lambda: "flags : fpu sse2 avx2 fma")
    with pytest.raises(
        ValueError, match="FIRSTORDER_NATIVE_ISA=avx512 needs a processor with avx512f"
    ):
        NativeSteps()


def test_without_openmp_it_runs_on_one_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As Apple's compiler has none."""
    compiler = tmp_path / "compiler"
    compiler.write_text(
        f'#!/bin/sh\ncase "$*" in *-fopenmp*) exit 1;; esac\nexec {library.get_cpp_compiler()} "$@"\n'
    )
    compiler.chmod(0o755)
    loss, phi, batch = problem("omniglot")
    set_engines(NativeSteps(required=True))
    expected = step(loss, SGD(0.1), phi, (), batch)
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "get_cpp_compiler", lambda: str(compiler))
    build_library.cache_clear()
    torch.set_num_threads(2)
    set_engines(NativeSteps(required=True))
    assert torch.equal(step(loss, SGD(0.1), phi, (), batch).phi, expected.phi)
    assert "no OpenMP" in caplog.text


def test_a_compiler_that_fails_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the run goes on, but where machine code was asked for."""
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "FLAGS", ["-not-an-option"])
    build_library.cache_clear()
    loss, phi, batch = problem("an odd stride")
    expected = step(loss, SGD(0.1), phi, (), batch)
    set_engines(NativeSteps())
    assert torch.equal(step(loss, SGD(0.1), phi, (), batch).phi, expected.phi)
    assert "could not be built" in caplog.text
    set_engines(NativeSteps(required=True))
    with pytest.raises(
        ValueError, match=r"could not be built.*not-an-option.*trainer\.compile=never"
    ):
        step(loss, SGD(0.1), phi, (), batch)
    assert not list(tmp_path.rglob("conv4*.so"))


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in the folder's place: root, who runs tests in a container, may write anywhere."""
    (tmp_path / "compiled").write_text("")
    monkeypatch.setenv("FIRSTORDER_CACHE", str(tmp_path))
    build_library.cache_clear()
    loss, phi, batch = problem("an odd stride")
    expected = step(loss, SGD(0.1), phi, (), batch)
    set_engines(NativeSteps())
    assert torch.equal(step(loss, SGD(0.1), phi, (), batch).phi, expected.phi)
    assert f"could not be built in {tmp_path / 'compiled'}" in caplog.text
