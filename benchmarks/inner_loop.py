"""Measure the inner loop beside the obvious alternatives, and beside the machine's own limit.

All ways are measured in one process, in turns, so that a busy machine disturbs all alike; the table gives
medians, quartiles as the spread, and the best. The limit is the time that the same multiplications
take at the rate of a large matrix product, best beside best. Evaluation is of whole tasks: 50 steps, then
both protocols.

python benchmarks/inner_loop.py [--threads 2,1] [--seconds 4] [--cases omniglot,sine]
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from firstorder.algo import Reptile
from firstorder.algo.base import Context
from firstorder.algo.evaluation import Evaluator
from firstorder.data.interop import import_learn2learn
from firstorder.data.minibatches import cycle_minibatches
from firstorder.engine import set_engines
from firstorder.engines.inductor import Compiler
from firstorder.engines.native import NativeSteps
from firstorder.inner_loop import step
from firstorder.inner_optimizer import Adam
from firstorder.model import MLP, Conv4
from firstorder.model.layers import same_padding
from firstorder.network import Network
from firstorder.task import Classification, Regression, TaskKind
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss

OUT = Path("outputs/benchmarks")
LR = 1e-3
Call = tuple[Callable[[], Any], int]  # what is timed, and how many steps or tasks a call does


@dataclass
class Case:
    """A published setting: our network, the module that one would write, and the shapes of its tasks."""

    module: nn.Module
    plain: nn.Module
    kind: TaskKind
    ways: int
    shape: tuple[int, ...]
    batch: int = 10
    eval_batch: int = 5
    at_once: int = 8

    def task(self, n: int) -> tuple[Tensor, Tensor]:
        """Make n random inputs and their labels or targets."""
        x = torch.rand(n, *self.shape)
        return x, torch.arange(n) % self.ways if isinstance(
            self.kind, Classification
        ) else torch.rand(n, 1)


def plain_conv4(ways: int, channels: int, side: int, filters: int, pool: bool) -> nn.Module:
    """Write the published network as one writes it in PyTorch."""
    layers: list[nn.Module] = []
    for _ in range(4):
        stride = 1 if pool else 2
        before, after = same_padding(side, stride)
        layers += [
            nn.ZeroPad2d((before, after, before, after)),
            nn.Conv2d(channels, filters, 3, stride, bias=False),
            nn.BatchNorm2d(filters, eps=1e-3, track_running_stats=False),
            *([nn.MaxPool2d(2, ceil_mode=True)] if pool else []),
            nn.ReLU(),
        ]
        channels, side = filters, -(-side // 2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * side * side, ways))


def images(
    ways: int, batch: int, channels: int, side: int, filters: int, pool: bool, **sizes: int
) -> Case:
    """Make a classification case."""
    downsample: Literal["pool", "stride"] = "pool" if pool else "stride"
    ours = Conv4(ways, channels, side, filters, downsample)
    plain = plain_conv4(ways, channels, side, filters, pool)
    return Case(ours, plain, Classification(), ways, (channels, side, side), batch, **sizes)


CASES: dict[str, Callable[[], Case]] = {
    "omniglot": lambda: images(5, 10, 1, 28, 64, pool=False),
    "omniglot20": lambda: images(20, 20, 1, 28, 64, pool=False, eval_batch=10),
    "miniimagenet": lambda: images(5, 10, 3, 84, 32, pool=True, eval_batch=15, at_once=4),
    "sine": lambda: Case(MLP(), MLP(), Regression(), 10, (1,), eval_batch=10),
}


def training(case: Case) -> dict[str, Call]:
    """Return what does a training step in each way."""
    criterion = case.kind.criterion
    network = Network(case.module)
    loss, adam, phi = TaskLoss(network, criterion, "sum"), Adam(LR), network.initial()
    batch, state = case.task(case.batch), adam.init(phi)
    engines = NativeSteps(), Compiler(step)
    plain, fused = plain_steps(case), plain_steps(case, fused=True)
    maml = import_learn2learn("algorithms.maml").MAML(case.plain, lr=LR, first_order=True)

    def learn2learn() -> None:
        learner = maml.clone()
        for _ in range(5):
            learner.adapt(criterion(learner(batch[0]), batch[1]).sum())

    def ours(*used: Any) -> None:
        set_engines(*used)
        step(loss, adam, phi, state, batch)
        set_engines()

    return {
        "plain loop": (lambda: plain([batch]), 1),
        "plain loop, fused Adam": (lambda: fused([batch]), 1),
        "learn2learn clone/adapt (SGD)": (learn2learn, 5),
        "ours, uncompiled": (ours, 1),
        "ours": (lambda: ours(*engines), 1),
    }


def plain_steps(case: Case, fused: bool = False) -> Callable[[list[tuple[Tensor, Tensor]]], None]:
    """Return the obvious loop: a module, torch.optim.Adam, a step on each mini-batch."""
    adam = torch.optim.Adam(case.plain.parameters(), lr=LR, betas=(0.0, 0.999), fused=fused)

    def run(batches: list[tuple[Tensor, Tensor]]) -> None:
        for x, y in batches:
            adam.zero_grad()
            case.kind.criterion(case.plain(x), y).sum().backward()
            adam.step()

    return run


def evaluation(case: Case) -> dict[str, Call]:
    """Return what evaluates tasks in each way: 50 steps, then both protocols."""
    support_n = max(case.ways, case.eval_batch)
    (x, y), (query_x, query_y) = case.task(support_n), case.task(case.ways)
    order = cycle_minibatches(support_n, case.eval_batch, 50, np.random.default_rng(0))
    task = Episode(x, y, query_x, query_y, torch.from_numpy(order), torch.tensor(0))
    tasks = Episode(*(field.expand(case.at_once, *field.shape).contiguous() for field in task))
    network = Network(case.module)
    loss, adam, phi = TaskLoss(network, case.kind.criterion, "sum"), Adam(LR), network.initial()
    rule = Reptile(inner_steps=1, inner_batch_size=1, inner_lr=LR)
    evaluator = Evaluator(rule, case.kind, loss)
    state, engines, steps = adam.init(phi), (NativeSteps(), Compiler(step)), plain_steps(case)

    def plain() -> None:
        kept = {name: p.clone() for name, p in case.plain.state_dict().items()}
        steps(list(task.support_batches()))
        with torch.no_grad():
            case.plain(query_x)
            for one in query_x if isinstance(case.kind, Classification) else ():
                case.plain(torch.cat([x, one[None]]))
        case.plain.load_state_dict(kept)

    def ours() -> None:
        set_engines(*engines)
        evaluator.score({"phi": phi}, state, tasks)
        set_engines()

    return {"plain loop": (plain, 1), "ours": (ours, case.at_once)}


def interleaved(calls: dict[str, Call], seconds: float) -> dict[str, list[float]]:
    """Time the calls in turns; return milliseconds a step or task: the best, and the quartiles."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()  # builds and warms up
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(times[next(iter(calls))]) < 3:
        for name, (call, steps) in calls.items():
            if not times[name] or times[name][-1] * steps < 100:
                call()  # brings its data back into the caches
            begun = time.perf_counter()
            call()
            times[name].append(1e3 * (time.perf_counter() - begun) / steps)
    return {
        name: np.quantile(taken, [0, 0.25, 0.5, 0.75]).tolist() for name, taken in times.items()
    }


def flops(case: Case) -> int:
    """Count the floating-point operations of the products in one training step."""
    with FlopCounterMode(display=False) as counter:
        case.plain(case.task(case.batch)[0]).sum().backward()
    return counter.get_total_flops()


def growth(seconds: float) -> dict[str, float]:
    """Measure a meta-batch of Reptile as one of its sizes grows; median ms."""
    base = {"tasks": 5, "ways": 5, "steps": 5, "side": 28}
    calls: dict[str, Call] = {}
    for change in ({}, {"tasks": 10}, {"ways": 20}, {"steps": 10}, {"side": 56}):
        size = base | change
        algorithm = Reptile(
            inner_steps=size["steps"], inner_batch_size=2 * size["ways"], inner_lr=LR
        )
        case = images(size["ways"], 0, 1, size["side"], 64, pool=False)
        x, y = case.task(10 * size["ways"])
        network = Network(case.module)
        loss, phi = TaskLoss(network, case.kind.criterion, "sum"), network.initial()
        order = torch.arange(size["steps"] * 2 * size["ways"]).remainder(len(x))
        one = Episode(x, y, x[:0], y[:0], order.view(size["steps"], -1), torch.tensor(0))
        tasks = Episode(*(field.expand(size["tasks"], *field.shape) for field in one))
        arguments = loss, {"phi": phi}, algorithm.optimizer.init(phi), tasks, Context()

        def call(a: Reptile = algorithm, arguments: Any = arguments) -> None:
            a.meta_batch(*arguments)

        name = ", ".join(f"{k}={v}" for k, v in change.items())
        calls[name or "5 tasks, 5 ways, 5 steps, 28x28"] = call, 1
    set_engines(NativeSteps())
    times = interleaved(calls, seconds)
    set_engines()
    return {name: taken[2] for name, taken in times.items()}


def measure(case: Case, seconds: float) -> dict[str, Any]:
    """Measure one case with the threads that are set."""
    a = torch.rand(1024, 1024)
    steps = interleaved({"product": (lambda: a @ a, 1), **training(case)}, seconds)
    work, product = flops(case), steps.pop("product")
    return {
        "mflop": work / 1e6,
        "limit_ms": product[0] * work / (2 * 1024**3),
        "training_ms_a_step": steps,
        "evaluation_ms_a_task": interleaved(evaluation(case), seconds),
    }


def show(name: str, threads: int, found: dict[str, Any]) -> None:
    """Print one case: milliseconds, ratio to the plain loop, percent of the limit."""
    limit = found["limit_ms"]
    print(f"\n{name}, {threads} threads: {found['mflop']:.1f} MFLOP a step, limit {limit:.2f} ms")
    print(f"{'':36s} median        spread    best  speed limit")
    for what, key in (("", "training_ms_a_step"), ("evaluation, ", "evaluation_ms_a_task")):
        for way, (best, low, middle, high) in found[key].items():
            ratio = found[key]["plain loop"][2] / middle
            share = f"{limit / best:5.0%}" if not what else ""
            spread = f"{low:6.2f}-{high:6.2f}"
            print(
                f"{what + way:35s} {middle:7.2f} {spread:>13s} {best:7.2f} {ratio:5.1f}x {share}",
                flush=True,
            )


def main() -> None:
    """Measure every case, print a table of each, write outputs/benchmarks/inner_loop.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="2,1")
    parser.add_argument("--seconds", type=float, default=4, help="for each table's half")
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    found: dict[str, Any] = {"load": os.getloadavg()[0], "torch": torch.__version__, "cases": []}
    for name in options.cases.split(","):
        for threads in map(int, options.threads.split(",")):
            torch.set_num_threads(threads)
            one = measure(CASES[name](), options.seconds)
            show(name, threads, one)
            found["cases"].append({"case": name, "threads": threads, **one})
    found["growth_ms"] = growth(options.seconds)
    print(f"\nms a meta-batch of Reptile, Omniglot network, {torch.get_num_threads()} threads")
    for name, value in found["growth_ms"].items():
        print(f"{name:36s} {value:7.1f}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "inner_loop.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
