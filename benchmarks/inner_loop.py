"""Measure the inner loop beside the obvious alternatives, and beside the machine's own limit.

Everything is measured in one process, in turns, so that a busy machine disturbs all alike; the table
gives medians, quartiles as the spread, and the best. With one thread the clock is the processor's,
which other processes hardly move; with more it is the wall's. The limit is the time that the same
multiplications take at the rate of a large matrix product, best beside best. A step of evaluation takes
half as many images, of 20 tasks at once.

python benchmarks/inner_loop.py [--threads 2] [--rounds 15] [--cases omniglot,sine] [--no-compile]
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.utils.flop_counter import FlopCounterMode

from firstorder.algo import Reptile
from firstorder.compilation import Compiler, use
from firstorder.data.episode import Episode
from firstorder.inner_loop import Adam, step
from firstorder.interop import import_learn2learn
from firstorder.model import MLP, Conv4
from firstorder.network import Network
from firstorder.objective import CRITERIA, TaskLoss

OUT = Path("outputs/benchmarks")
TASKS = 20  # evaluated at once
LR = 1e-3
CASE_SECONDS = 40  # a case gets no more rounds after this, but three at least


@dataclass
class Case:
    """One published setting: a network, and the mini-batch that it is trained on."""

    module: nn.Module
    kind: str
    x: Tensor
    y: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's output as the obvious module would compute it, channels first."""
        if isinstance(self.module, Conv4):
            return self.module.head(self.module.features(x).flatten(1))
        return self.module(x)


def images(ways: int, batch: int, channels: int, side: int, **model: Any) -> Case:
    """Make a classification case of random images."""
    module = Conv4(ways, channels, side, **model)
    x, y = torch.rand(batch, channels, side, side), torch.arange(batch) % ways
    return Case(module, "classification", x, y)


CASES: dict[str, Callable[[], Case]] = {
    "omniglot": lambda: images(5, 10, 1, 28),
    "omniglot20": lambda: images(20, 20, 1, 28),
    "miniimagenet": lambda: images(5, 10, 3, 84, filters=32, downsample="pool"),
    "sine": lambda: Case(MLP(), "regression", torch.rand(10, 1), torch.rand(10, 1)),
}


def ways_to_step(case: Case, compiled: bool) -> dict[str, tuple[Callable[[], Any], int]]:
    """Return what does an inner step in each way, and how many steps a call does."""
    loss = TaskLoss(network := Network(case.module), CRITERIA[case.kind], "sum")
    optimizer, phi, compiler = Adam(LR), network.initial(), Compiler(step)
    state = optimizer.init(phi)
    batch = case.x, case.y
    half = case.x[: len(case.x) // 2], case.y[: len(case.y) // 2]  # as published for evaluation
    adam = torch.optim.Adam(case.module.parameters(), lr=LR, betas=(0.0, 0.999))
    maml = import_learn2learn("algorithms.maml").MAML(case.module, lr=LR, first_order=True)

    def objective(prediction: Tensor, y: Tensor) -> Tensor:
        return CRITERIA[case.kind](prediction, y).sum()

    def plain(x: Tensor, y: Tensor) -> None:
        adam.zero_grad()
        objective(case.forward(x), y).backward()
        adam.step()

    def learn2learn() -> None:
        learner = maml.clone()
        for _ in range(5):
            learner.adapt(objective(learner(case.x), case.y))

    each = vmap(loss)

    def total(phi: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return each(phi, x, y).sum()

    def rows(tensor: Tensor) -> Tensor:
        return tensor.repeat(TASKS, *[1] * tensor.dim())

    one: Any = (loss, optimizer, phi, state, batch)
    moments = state._replace(m=rows(state.m), v=rows(state.v))  # type: ignore[attr-defined]
    many: Any = (total, optimizer, rows(phi), moments, tuple(map(rows, half)))
    found: dict[str, tuple[Callable[[], Any], int]] = {
        "plain loop": (lambda: plain(*batch), 1),
        "learn2learn (SGD)": (learn2learn, 5),
        "ours, uncompiled": (lambda: step(*one), 1),
        "ours": (lambda: compiler.run(step, one), 1),
        "evaluation, plain loop": (lambda: plain(*half), 1),
        "evaluation, ours, uncompiled": (lambda: step(*many), TASKS),
        "evaluation, ours": (lambda: compiler.run(step, many), TASKS),
    }
    return {name: call for name, call in found.items() if compiled or "ours" not in name[-4:]}


def interleaved(
    calls: dict[str, tuple[Callable[[], Any], int]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Time the calls in turns; return milliseconds a step on both clocks, quartiles of each."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    start = time.perf_counter()
    for round_ in range(rounds + 1):
        if round_ > 3 and time.perf_counter() - start > CASE_SECONDS:
            break
        for name, (call, steps) in calls.items():
            call()  # brings its data back into the caches
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            took = time.perf_counter() - wall, time.process_time() - cpu
            if round_:  # the first one warms up
                times[name].append((1e3 * took[0] / steps, 1e3 * took[1] / steps))
    return {
        name: {
            clock: [float(q) for q in np.quantile(np.array(taken)[:, i], [0, 0.25, 0.5, 0.75])]
            for i, clock in enumerate(("wall", "cpu"))
        }
        for name, taken in times.items()
    }


def flops(case: Case) -> int:
    """Count the floating-point operations of the products in one step."""
    with FlopCounterMode(display=False) as counter:
        case.module(case.x).sum().backward()
    return counter.get_total_flops()


def growth(rounds: int) -> dict[str, dict[str, float]]:
    """Measure a meta-batch of Reptile, uncompiled, as one of its sizes grows; wall and CPU ms."""
    base = {"tasks": 5, "ways": 5, "steps": 5, "side": 28}
    sizes = [base] + [
        base | {k: v} for k, v in [("tasks", 10), ("ways", 20), ("steps", 10), ("side", 56)]
    ]
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    for size in sizes:
        algorithm = Reptile(
            inner_steps=size["steps"], inner_batch_size=2 * size["ways"], inner_lr=LR
        )
        case = images(size["ways"], size["ways"] * 10, 1, size["side"])
        network = Network(case.module)
        loss, phi = TaskLoss(network, CRITERIA[case.kind], "sum"), network.initial()
        state = algorithm.optimizer.init(phi)
        order = torch.arange(size["steps"] * 2 * size["ways"]).remainder(len(case.x))
        one = Episode(case.x, case.y, case.x[:0], case.y[:0], order.view(size["steps"], -1))
        tasks = Episode(*(field.expand(size["tasks"], *field.shape) for field in one))
        changed = [f"{k}={v}" for k, v in size.items() if v != base[k]]

        def call(a: Any = algorithm, arguments: Any = (loss, phi, state, tasks)) -> None:
            a.meta_batch(*arguments)

        calls[", ".join(changed) or "5 tasks, 5 ways, 5 steps, 28x28"] = (call, 1)
    times = interleaved(calls, rounds)
    return {name: {clock: q[2] for clock, q in taken.items()} for name, taken in times.items()}


def main() -> None:
    """Measure every case, print a table of each, write outputs/benchmarks/inner_loop.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    use()
    a = torch.rand(1024, 1024)
    found: dict[str, Any] = {
        "threads": options.threads, "load": os.getloadavg()[0], "torch": torch.__version__,
        "cases": {},
    }  # fmt: skip
    for name in options.cases.split(","):
        case = CASES[name]()
        calls = ways_to_step(case, compiled=not options.no_compile)
        times = interleaved({"product": (lambda: a @ a, 1), **calls}, options.rounds)
        product, work = times.pop("product"), flops(case)
        limit = {clock: product[clock][0] * work / (2 * 1024**3) for clock in ("wall", "cpu")}
        found["cases"][name] = {"mflop": work / 1e6, "limit_ms": limit, "times": times}
        show(name, work, limit, times, "cpu" if options.threads == 1 else "wall")
    found["growth_ms"] = growth(max(3, options.rounds // 3))
    print("\nms a meta-batch, uncompiled                    wall      cpu")
    for name, row in found["growth_ms"].items():
        print(f"{name:40s} {row['wall']:10.1f} {row['cpu']:8.1f}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"inner_loop_{options.threads}.json").write_text(json.dumps(found, indent=2) + "\n")


def show(name: str, work: int, limit: dict[str, float], times: dict[str, Any], clock: str) -> None:
    """Print one case: milliseconds a step, ratio to the plain loop of its kind, percent of the limit."""
    print(f"\n{name}: {work / 1e6:.1f} MFLOP a step, limit {limit[clock]:.2f} ms ({clock} clock)")
    print(f"{'ms a step':28s} {'median':>7s} {'spread':>13s} {'best':>7s} {'speed':>6s} limit")
    for way, taken in times.items():
        best, low, middle, high = taken[clock]
        evaluation = "evaluation, " if way.startswith("evaluation") else ""
        plain = times[evaluation + "plain loop"][clock][2]
        least = limit[clock] / 2 if evaluation else limit[clock]  # half the images
        print(
            f"{way:28s} {middle:7.2f} {low:6.2f}-{high:6.2f} {best:7.2f} {plain / middle:5.1f}x"
            f" {least / best:5.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
