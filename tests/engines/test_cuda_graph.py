"""The engine with a stand-in for the device: a recording is made, and replayed, on the CPU."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import BatchNorm2d, Flatten, Linear, ReLU, Sequential
from torch.utils._python_dispatch import TorchDispatchMode

from firstorder.algo import FOMAML, MAML, GradientCombination, Joint, MetaAlgorithm, Reptile
from firstorder.algo.anil import ANIL
from firstorder.algo.base import Context
from firstorder.algo.meta_sgd import MetaSGD
from firstorder.engine import engine_call, set_engines
from firstorder.engines.cuda_graph import Call, CudaGraphs, Synchronizes
from firstorder.inner_loop import adapt, step
from firstorder.inner_optimizer import Adam
from firstorder.model import MLP
from firstorder.model.layers import SameConv2d
from firstorder.network import Network, predict
from firstorder.run.callbacks import LOOPS
from firstorder.task.classification import cross_entropy
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss
from firstorder.task.regression import squared_error


class OnProcessor:
    """Record on the CPU: as on a GPU, recording computes nothing, and a replay writes the same places."""

    device = "cpu"

    def __init__(self) -> None:
        self.rehearsed = self.recorded = 0
        self.places: list[Tensor] = []  # inputs and outputs of the last recording

    def rehearse(self, call: Call, tensors: list[Tensor]) -> list[Any]:
        self.rehearsed += 1
        return call(tensors)

    def record(self, call: Call, tensors: list[Tensor]) -> tuple[Callable[[], None], list[Any]]:
        self.recorded += 1
        outputs = [output.clone() for output in call(tensors)]
        for output in outputs:
            output.fill_(7)
        self.places = [*tensors, *outputs]

        def replay() -> None:
            for output, new in zip(outputs, call(tensors), strict=True):
                output.copy_(new)

        return replay, outputs


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    set_engines()


def engine(*functions: Callable[..., Any], **settings: Any) -> CudaGraphs:
    graphs = CudaGraphs(*functions, recorder=OnProcessor(), **settings)
    set_engines(graphs)
    return graphs


def used(graphs: CudaGraphs) -> tuple[int, int, int]:
    assert isinstance(graphs.recorder, OnProcessor)
    return graphs.recorder.rehearsed, graphs.recorder.recorded, graphs.replayed


@engine_call
def scaled(factor: float, x: Tensor, pair: tuple[Tensor, Tensor]) -> dict[str, Any]:
    return {"sum": factor * x + pair[0], "same": x, "pair": pair}


def test_a_call_is_recorded_when_it_comes_again_by_its_settings_and_shapes() -> None:
    graphs = engine(scaled)
    x, y = torch.arange(3.0), torch.ones(3)
    for _ in range(4):
        scaled(2.0, x, (y, y))
    assert used(graphs) == (1, 1, 3)
    scaled(3.0, x, (y, y))  # another setting
    scaled(2.0, x.double(), (y, y))  # another type
    scaled(2.0, x[:2], (y[:2], y[:2]))  # another shape
    torch.set_float32_matmul_precision("high")
    try:
        scaled(2.0, x, (y, y))  # another precision
    finally:
        torch.set_float32_matmul_precision("highest")
    with torch.autocast("cpu", torch.bfloat16):
        scaled(2.0, x, (y, y))
    assert used(graphs) == (6, 1, 3)  # none of them came again
    scaled(3.0, x, (y, y))
    assert used(graphs) == (6, 2, 4)


def test_a_replay_sees_new_inputs_and_nothing_that_it_returns_changes_later() -> None:
    graphs = engine(scaled)
    assert isinstance(graphs.recorder, OnProcessor)
    results, expected = [], []
    for i in range(5):
        # What is expanded or transposed lies in no order that the recording knows.
        x = torch.full((1, 2), float(i)).expand(3, 2)
        pair = torch.arange(6.0).view(2, 3).mT + i, torch.ones(3, 2)
        results.append(scaled(2.0, x, pair))
        expected.append({"sum": 2.0 * x + pair[0], "same": x, "pair": pair})
        inputs = (x, *pair)
        for returned in (results[-1]["sum"], results[-1]["same"], *results[-1]["pair"]):
            if i:  # the first call is made as written
                for other in (*graphs.recorder.places, *inputs):
                    assert returned.data_ptr() != other.data_ptr()
    torch.testing.assert_close(results, expected, rtol=0, atol=0)


def test_what_is_not_on_the_device_or_wants_a_gradient_is_left_to_others() -> None:
    graphs = engine(scaled)
    graphs.recorder.device = "meta"
    x = torch.ones(2)
    for _ in range(3):
        assert torch.equal(scaled(1.0, x, (x, x))["sum"], 2 * x)
    graphs.recorder.device = "cpu"
    point = x.clone().requires_grad_()
    for _ in range(3):
        scaled(3.0, point, (x, x))["sum"].sum().backward()
    assert torch.equal(point.grad, 9 * x)
    assert used(graphs) == (0, 0, 0)


def network() -> Network:
    torch.manual_seed(0)
    convolution, norm = (
        SameConv2d(1, 3, stride=2, bias=False),
        BatchNorm2d(3, track_running_stats=False),
    )
    return Network(Sequential(convolution, norm, ReLU(), Flatten(), Linear(27, 2)))


def meta_batch(seed: int, tasks: int = 3) -> Episode:
    torch.manual_seed(seed)
    x, y = torch.rand(tasks, 4, 1, 6, 6), torch.arange(4).remainder(2).expand(tasks, 4)
    order = torch.stack([torch.randperm(4) for _ in range(tasks * 3)]).view(tasks, 3, 4)[..., :3]
    return Episode(x, y, x[:, :0], y[:, :0], order, torch.zeros(tasks, dtype=torch.int64))


ALGORITHMS = Reptile, FOMAML, Joint, GradientCombination, MAML, ANIL, MetaSGD


@pytest.mark.parametrize("parallel", [False, True], ids=["in turn", "at once"])
@pytest.mark.parametrize("kind", ALGORITHMS, ids=lambda kind: kind.__name__)
def test_the_loop_of_every_algorithm_is_one_recording_with_the_same_result(
    kind: type[MetaAlgorithm], parallel: bool
) -> None:
    rule = kind(
        inner_steps=3, inner_batch_size=3, inner_lr=0.01, meta_batch_size=3, parallel=parallel,
        inner_optimizer="sgd" if kind is MetaSGD else "adam",
    )  # fmt: skip
    net = network()
    loss, context = TaskLoss(net, cross_entropy, "sum"), Context(net.layout)
    meta = rule.meta_parameters(net)
    loop = rule.inner(loss, meta, context)
    state = loop.optimizer.init(loop.phi)
    expected = [rule.meta_batch(loss, meta, state, meta_batch(i), context) for i in range(3)]
    graphs = engine(*LOOPS, step)
    found = [rule.meta_batch(loss, meta, state, meta_batch(i), context) for i in range(3)]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert used(graphs) == (1, 1, 2 if parallel else 8)


def test_evaluation_is_recorded_although_its_mini_batches_come_one_by_one() -> None:
    net, adam = network(), Adam(0.01)
    loss, phi = TaskLoss(net, cross_entropy, "sum"), net.initial()
    task = meta_batch(0).task(0)
    expected = adapt(loss, adam, phi, adam.init(phi), task.support_batches())
    graphs = engine(adapt, predict)
    for _ in range(3):
        found = adapt(loss, adam, phi, adam.init(phi), task.support_batches())
        torch.testing.assert_close(found, expected)
    rows, x = phi.expand(2, -1), task.support_x.expand(2, *task.support_x.shape)
    for _ in range(2):
        torch.testing.assert_close(predict(net, rows, x)[0], net(phi, task.support_x))
    assert used(graphs) == (2, 2, 3)
    graphs.recorder.device = "meta"
    found = adapt(loss, adam, phi, adam.init(phi), task.support_batches())
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("convolutions", "calls"), [("products", 0), ("library", 3)])
def test_a_setting_chooses_how_tasks_at_once_are_convolved(convolutions: str, calls: int) -> None:
    net, count = network(), 0
    library = torch.ops.aten.convolution.default

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal count
            count += func is library
            return func(*args, **(kwargs or {}))

    engine(predict, convolutions=convolutions)
    rows, x = net.initial().expand(2, -1), torch.rand(2, 4, 1, 6, 6)
    with Count():
        for _ in range(2):
            predict(net, rows, x)
    assert count == calls


def test_a_function_that_waits_for_the_device_runs_as_written_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Strict(OnProcessor):
        def rehearse(self, call: Call, tensors: list[Tensor]) -> list[Any]:
            raise Synchronizes("called a synchronizing CUDA operation")

    net = Network(MLP(hidden=[4]))
    loss, adam, phi = TaskLoss(net, squared_error, "sum"), Adam(0.01), net.initial()
    batch = torch.rand(5, 1), torch.rand(5, 1)
    arguments = loss, adam, phi, adam.init(phi), batch
    expected = step(*arguments)
    set_engines(CudaGraphs(step, recorder=Strict()))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            torch.testing.assert_close(step(*arguments), expected)
    assert caplog.text.count("runs unrecorded, slower: it waits for the device") == 1
    set_engines(CudaGraphs(step, recorder=Strict(), required=True))
    with pytest.raises(ValueError, match=r"trainer\.compile=always: .* set trainer\.compile=never"):
        step(*arguments)
