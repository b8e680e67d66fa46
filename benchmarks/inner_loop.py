"""Measure the inner loop beside the obvious alternatives, and beside the machine's own limit.

Everything is measured in one process, in turns, so that a busy machine disturbs all alike; the table
gives medians, and quartiles as the spread. On the wall clock other processes count too; with one
thread the CPU clock tells what our own work took. The limit is the time that the same
multiplications take at the rate of a large matrix product.

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
import torch.nn.functional as F
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
from firstorder.objective import CRITERIA, task_loss

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
    """Return what does one inner step in each way, and how many steps a call does."""
    ours = task_loss(network := Network(case.module), CRITERIA[case.kind], "sum")
    optimizer = Adam(LR)
    phi, x, y = network.initial(), case.x, case.y
    state = optimizer.init(phi)

    def objective(prediction: Tensor) -> Tensor:
        if case.kind == "regression":
            return F.mse_loss(prediction, y, reduction="sum")
        return F.cross_entropy(prediction, y, reduction="sum")

    adam = torch.optim.Adam(case.module.parameters(), lr=LR, betas=(0.0, 0.999))

    def plain() -> None:
        adam.zero_grad()
        objective(case.module(x)).backward()
        adam.step()

    maml = import_learn2learn("algorithms.maml").MAML(case.module, lr=LR, first_order=True)

    def learn2learn() -> None:
        """Clone, adapt once; the clone is paid once a task, so a task of one step is its worst."""
        learner = maml.clone()
        for _ in range(5):
            learner.adapt(objective(learner(x)))

    def at_once(phi: Tensor, x: Tensor, y: Tensor) -> Any:
        return step(ours, optimizer, phi, state, (x, y))

    many = phi.repeat(TASKS, 1), x.repeat(TASKS, *[1] * x.dim()), y.repeat(TASKS, *[1] * y.dim())
    found: dict[str, tuple[Callable[[], Any], int]] = {
        "plain PyTorch": (plain, 1),
        "learn2learn (SGD)": (learn2learn, 5),
        "ours": (lambda: step(ours, optimizer, phi, state, (x, y)), 1),
        f"ours, {TASKS} tasks at once": (lambda: vmap(at_once)(*many), TASKS),
    }
    if compiled:
        compiler = Compiler()
        found["ours, compiled"] = (
            lambda: compiler.run(step, (ours, optimizer, phi, state, (x, y))),
            1,
        )
    return found


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
        F.cross_entropy(case.module(case.x), torch.zeros(len(case.x), dtype=torch.int64)).backward()
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
        loss, phi = task_loss(network, CRITERIA[case.kind], "sum"), network.initial()
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
    use(None)
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
        show(name, work, limit, times)
    found["growth_ms"] = growth(max(3, options.rounds // 3))
    print("\nms a meta-batch, uncompiled                    wall      cpu")
    for name, row in found["growth_ms"].items():
        print(f"{name:40s} {row['wall']:10.1f} {row['cpu']:8.1f}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"inner_loop_{options.threads}.json").write_text(json.dumps(found, indent=2) + "\n")


def show(name: str, work: int, limit: dict[str, float], times: dict[str, Any]) -> None:
    """Print one case: milliseconds a step, its ratio to the plain loop, and percent of the limit."""
    print(f"\n{name}: {work / 1e6:.1f} MFLOP a step, limit {limit['cpu']:.2f} ms (CPU clock)")
    print(
        f"{'ms a step':28s} {'wall':>7s} {'CPU':>7s} {'spread':>13s} {'best':>7s} {'speed':>6s} limit"
    )
    plain = times["plain PyTorch"]["cpu"][2]
    for way, taken in times.items():
        best, low, middle, high = taken["cpu"]
        print(
            f"{way:28s} {taken['wall'][2]:7.2f} {middle:7.2f} {low:6.2f}-{high:6.2f} {best:7.2f}"
            f" {plain / middle:5.1f}x {limit['cpu'] / middle:4.0%}"
        )


if __name__ == "__main__":
    main()
