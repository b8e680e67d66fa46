"""Measure the inner loop beside the obvious alternatives, and beside the machine's own limit.

All ways are measured in one process, in turns, so that a busy machine disturbs all alike. The limit is
the time that the same multiplications take at the rate of a large matrix product, best beside best.
Evaluation is of whole tasks: 50 steps, then both protocols.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import Case, images
from benchmarks.timing import Call, interleaved
from firstorder.algo import MAML, Reptile
from firstorder.algo.anil import ANIL
from firstorder.algo.base import Context, MetaAlgorithm
from firstorder.algo.evaluation import Evaluator
from firstorder.algo.meta_sgd import MetaSGD
from firstorder.data.interop import import_learn2learn
from firstorder.data.minibatches import cycle_minibatches
from firstorder.engine import Engine, set_engines
from firstorder.engines.inductor import Compiler
from firstorder.engines.native import NativeSteps
from firstorder.inner_loop import gradient_and_value, step, update
from firstorder.inner_optimizer import Adam
from firstorder.network import Network
from firstorder.second_order import recorded_step, step_vjp, update_vjp
from firstorder.task import Classification
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss

LR = 1e-3


def engines() -> tuple[Engine, ...]:
    """Return the engines of a long run."""
    whole, parts = (step, recorded_step, step_vjp), (gradient_and_value, update, update_vjp)
    return NativeSteps(), Compiler(*whole, *parts)


def training(case: Case) -> dict[str, Call]:
    """Return what does a training step in each way."""
    criterion = case.kind.criterion
    network = Network(case.module)
    loss, adam, phi = TaskLoss(network, criterion, "sum"), Adam(LR), network.initial()
    batch, state = case.task(case.batch), adam.init(phi)
    used_engines = engines()
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
        "ours": (lambda: ours(*used_engines), 1),
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
    state, used_engines, steps = adam.init(phi), engines(), plain_steps(case)

    def plain() -> None:
        kept = {name: p.clone() for name, p in case.plain.state_dict().items()}
        steps(list(task.support_batches()))
        with torch.no_grad():
            case.plain(query_x)
            for one in query_x if isinstance(case.kind, Classification) else ():
                case.plain(torch.cat([x, one[None]]))
        case.plain.load_state_dict(kept)

    def ours() -> None:
        set_engines(*used_engines)
        evaluator.score({"phi": phi}, state, tasks)
        set_engines()

    return {"plain loop": (plain, 1), "ours": (ours, case.at_once)}


def flops(case: Case) -> int:
    """Count the floating-point operations of the products in one training step."""
    with FlopCounterMode(display=False) as counter:
        case.plain(case.task(case.batch)[0]).sum().backward()
    return counter.get_total_flops()


def meta_gradients(case: Case) -> dict[str, Call]:
    """Return what takes a task's direction by Reptile and by the second-order algorithms, k = 5."""
    network, x_y = Network(case.module), case.task(case.batch)
    loss = TaskLoss(network, case.kind.criterion, "sum")
    sizes: dict[str, Any] = {"inner_steps": 5, "inner_batch_size": case.batch, "inner_lr": LR}
    rules: dict[str, MetaAlgorithm] = {
        "Reptile": Reptile(**sizes),
        "MAML": MAML(**sizes),
        "ANIL": ANIL(**sizes),
        "Meta-SGD": MetaSGD(**sizes, inner_optimizer="sgd"),
    }
    context, used_engines = Context(network.layout), engines()

    def direction(rule: MetaAlgorithm) -> Call:
        meta = rule.meta_parameters(network)
        state = rule.optimizer.init(meta["phi"])

        def call() -> None:
            set_engines(*used_engines)
            rule.meta_gradient(loss, meta, state, [x_y] * 5, context)
            set_engines()

        return call, 1

    return {name: direction(rule) for name, rule in rules.items()}


def side_by_side(case: Case, threads: int) -> dict[str, Call]:
    """Return what takes the step of one task with some threads, and of a task for each thread at once."""
    network, (x, y) = Network(case.module), case.task(case.batch)
    loss, adam, phi = TaskLoss(network, case.kind.criterion, "sum"), Adam(LR), network.initial()
    rule = Reptile(inner_steps=5, inner_batch_size=case.batch, inner_lr=LR, parallel=True)
    order = torch.arange(case.batch).expand(5, -1)
    one = Episode(x, y, x[:0], y[:0], order, torch.tensor(0))
    tasks = Episode(*(field.expand(threads, *field.shape) for field in one))
    native = NativeSteps()

    def call(rule: Reptile, tasks: Episode) -> None:
        set_engines(native)
        rule.meta_batch(loss, {"phi": phi}, adam.init(phi), tasks, Context(network.layout))
        set_engines()

    in_turn = Reptile(inner_steps=5, inner_batch_size=case.batch, inner_lr=LR)
    return {
        "tasks in turn": (lambda: call(in_turn, tasks), 5 * threads),
        "a task a thread": (lambda: call(rule, tasks), 5 * threads),
    }


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
