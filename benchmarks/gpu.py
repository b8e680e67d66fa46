"""Check a GPU's results against the processor's, then measure training steps on it; under 8 minutes.

One number stands for a step of one task: a meta-batch's time, divided by its tasks and their inner steps.
Beside it is plain PyTorch on the same card (a module, torch.optim.Adam, a step on each mini-batch), and
the share of what a large matrix product reaches on it in the same run. Whole runs are real ones:
Lightning, tasks drawn from images on the device, the outer step; but short, and on images of noise.

python benchmarks/gpu.py [--device cpu] [--quick] [--minutes 7] [--cases omniglot,miniimagenet]
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from lightning import Callback
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from firstorder.algo import MAML, MetaAlgorithm, Reptile
from firstorder.algo.base import Context
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import Pictures
from firstorder.data.images.source import ImageSource
from firstorder.engine import set_engines
from firstorder.engines.cuda_graph import Call, CudaGraphs
from firstorder.engines.native import NativeSteps
from firstorder.model import Conv4
from firstorder.model.layers import same_padding
from firstorder.network import Network
from firstorder.run.callbacks import LOOPS
from firstorder.run.learner import MetaLearner
from firstorder.run.trainer import TrainerConfig, build_trainer
from firstorder.task.classification import Classification, cross_entropy
from firstorder.task.episode import Episode
from firstorder.task.loss import TaskLoss

OUT = Path("outputs/benchmarks/gpu.json")
TOLERANCES = {"float64": 1e-9, "float32": 1e-3}  # of the direction's length
PUBLISHED_ITERATIONS = 100_000  # of five tasks, Omniglot
LONGEST = 10.0  # seconds that a single meta-batch may take
PLAIN = "plain PyTorch"


@dataclass(frozen=True)
class Case:
    """A published setting: the network, and how a task is trained on."""

    ways: int
    steps: int
    batch: int
    channels: int
    side: int
    filters: int
    downsample: Literal["stride", "pool"]
    shots: int = 10

    def network(self) -> Network:
        """Make ours."""
        sizes = self.ways, self.channels, self.side, self.filters
        return Network(Conv4(*sizes, downsample=self.downsample))

    def plain(self) -> nn.Module:
        """Write the same network as one writes it in PyTorch."""
        layers: list[nn.Module] = []
        channels, side, pool = self.channels, self.side, self.downsample == "pool"
        for _ in range(4):
            before, after = same_padding(side, 1 if pool else 2)
            layers += [
                nn.ZeroPad2d((before, after, before, after)),
                nn.Conv2d(channels, self.filters, 3, 1 if pool else 2, bias=False),
                nn.BatchNorm2d(self.filters, eps=1e-3, track_running_stats=False),
                *([nn.MaxPool2d(2, ceil_mode=True)] if pool else []),
                nn.ReLU(),
            ]
            channels, side = self.filters, -(-side // 2)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * side * side, self.ways))

    def tasks(self, number: int, device: str, dtype: torch.dtype = torch.float32) -> Episode:
        """Make random tasks."""
        n = self.ways * self.shots
        x = torch.rand(number, n, self.channels, self.side, self.side, dtype=dtype)
        y = (torch.arange(n) % self.ways).expand(number, n)
        drawn = [torch.randperm(n).repeat(2)[: self.batch] for _ in range(number * self.steps)]
        order = torch.stack(drawn).view(number, self.steps, self.batch)
        fields = (x, y, x[:, :0], y[:, :0], order, torch.zeros(number, dtype=torch.int64))
        return Episode(*(field.to(device) for field in fields))

    def reptile(self, **settings: Any) -> Reptile:
        """Return Reptile with the published inner loop."""
        published = {"inner_steps": self.steps, "inner_batch_size": self.batch, "inner_lr": 1e-3}
        return Reptile(**{**published, **settings})

    def flops(self) -> int:
        """Count the floating-point operations of the products in one step of one task."""
        x = torch.rand(self.batch, self.channels, self.side, self.side)
        with FlopCounterMode(display=False) as counter:
            self.plain()(x).sum().backward()
        return counter.get_total_flops()


CASES = {
    "omniglot": Case(5, 5, 10, 1, 28, 64, "stride"),
    "omniglot20": Case(20, 10, 20, 1, 28, 64, "stride"),
    "miniimagenet": Case(5, 8, 10, 3, 84, 32, "pool", shots=15),
}


class OnProcessor:
    """Stand in for a GPU where there is none: what is recorded is computed again."""

    device = "cpu"

    def rehearse(self, call: Call, tensors: list[Tensor]) -> list[Tensor]:
        return call(tensors)

    def record(self, call: Call, tensors: list[Tensor]) -> tuple[Callable[[], None], list[Tensor]]:
        outputs = [output.clone() for output in call(tensors)]

        def replay() -> None:
            torch._foreach_copy_(outputs, call(tensors))

        return replay, outputs


def recorder(device: str) -> Any:
    """Return what records on a device; None is the engine's own, of CUDA."""
    return OnProcessor() if device == "cpu" else None


def wait(device: str) -> None:
    """Wait for what was launched."""
    if device != "cpu":
        torch.cuda.synchronize()


@contextmanager
def running(*engines: Any, matmul: str = "highest") -> Iterator[None]:
    """Run what is in here by these engines, at a precision of float32 products."""
    set_engines(*engines)
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = matmul != "highest"
    try:
        yield
    finally:
        set_engines()


def meta_batch(
    case: Case, rule: MetaAlgorithm, tasks: Episode, seed: int = 0
) -> Callable[[], Tensor]:
    """Return what computes the direction of a meta-batch, (d,), from weights and tasks on one device."""
    torch.manual_seed(seed)
    network = case.network()
    loss = TaskLoss(network, cross_entropy, rule.loss_reduction)
    phi = network.initial().to(tasks.support_x)
    state, context = rule.optimizer.init(phi), Context(network.layout)
    return lambda: rule.meta_batch(loss, {"phi": phi}, state, tasks, context).direction["phi"]


def differences(case: Case, device: str) -> Iterator[dict[str, Any]]:
    """Compare the device with the processor, tasks in turn and at once: SGD, two steps, then MAML."""
    small = replace(case, steps=2)
    settings: dict[str, Any] = {
        "inner_steps": 2, "inner_batch_size": case.batch, "inner_lr": 1e-3, "inner_optimizer": "sgd",
    }  # fmt: skip
    rules: list[tuple[type[MetaAlgorithm], bool]] = [
        (Reptile, False),
        (Reptile, True),
        (MAML, True),
    ]
    for kind, parallel in rules:
        rule = kind(**settings, meta_batch_size=3, parallel=parallel)
        torch.manual_seed(1)
        exact = small.tasks(3, "cpu", torch.float64)
        expected = meta_batch(small, rule, exact)()
        for convolutions in ("products", "library") if parallel else ("library",):
            for name, tolerance in TOLERANCES.items():
                dtype = getattr(torch, name)
                given = Episode(
                    *(f.to(device, dtype if f.is_floating_point() else None) for f in exact)
                )
                graphs = CudaGraphs(*LOOPS, convolutions=convolutions, recorder=recorder(device))
                with running(graphs):
                    call = meta_batch(small, rule, given)
                    found = [call().cpu().double() for _ in range(3)][-1]  # the third is a replay
                assert graphs.replayed, "the engine ran"
                error = ((found - expected).norm() / expected.norm()).item()
                yield {
                    "algo": rule.name, "parallel": parallel, "convolutions": convolutions, "dtype": name,
                    "error": error, "tolerance": tolerance, "ok": error <= tolerance,
                }  # fmt: skip


def timed(call: Callable[[], Any], device: str, seconds: float) -> float:
    """Return the median seconds of a call, after those that warm up and record."""
    for _ in range(3):
        begun = time.perf_counter()
        call()
        wait(device)
        last = time.perf_counter() - begun
        if last > LONGEST:
            return last
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begun = time.perf_counter()
        call()
        wait(device)
        times.append(time.perf_counter() - begun)
    return float(np.median(times))


def plain_loop(case: Case, tasks: Episode) -> Callable[[], None]:
    """Return the obvious loop over the tasks of a meta-batch, as one writes it in PyTorch."""
    module = case.plain().to(tasks.support_x.device)
    adam = torch.optim.Adam(module.parameters(), lr=1e-3, betas=(0.0, 0.999))
    each = [list(tasks.task(i).support_batches()) for i in range(len(tasks.support_x))]

    def run() -> None:
        for batches in each:
            for x, y in batches:
                adam.zero_grad()
                F.cross_entropy(module(x), y, reduction="sum").backward()
                adam.step()

    return run


def ways(
    sizes: Sequence[int], precisions: Iterable[str]
) -> Iterator[tuple[str, int, str, str | None, bool]]:
    """Yield what is measured: name, tasks, precision, convolutions (None is no engine), parallel."""
    first = sizes[0]
    for matmul in precisions:
        yield PLAIN, first, matmul, None, False
        yield "ours in turn, as written", first, matmul, None, False
        yield "ours in turn", first, matmul, "library", False
        for convolutions in ("products", "library"):
            for size in sizes:
                yield f"ours at once, {convolutions}", size, matmul, convolutions, True


def measure(
    case: Case,
    device: str,
    sizes: Sequence[int],
    rates: dict[str, float],
    seconds: float,
    until: float,
) -> Iterator[dict[str, Any]]:
    """Measure one case in every way; what would take too long, or has no memory, says so."""
    flops, before, plain = case.flops(), dict[tuple[str, str], tuple[int, float]](), 0.0
    for name, size, matmul, convolutions, parallel in ways(sizes, rates):
        row: dict[str, Any] = {"way": name, "tasks": size, "matmul": matmul}
        tasks_then, taken = before.get((name, matmul), (size, 0.0))
        if time.perf_counter() > until or taken * size / tasks_then > LONGEST:
            yield {**row, "not_measured": "no time"}
            continue
        if device != "cpu":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            tasks = case.tasks(size, device)
            rule = case.reptile(meta_batch_size=size, parallel=parallel)
            call: Callable[[], Any] = partial(plain_loop(case, tasks))
            if name != PLAIN:
                call = meta_batch(case, rule, tasks)
            engines = []
            if convolutions:
                engines = [CudaGraphs(*LOOPS, convolutions=convolutions, recorder=recorder(device))]
            with running(*engines, matmul=matmul):
                taken = timed(call, device, seconds)
        except torch.OutOfMemoryError:
            yield {**row, "not_measured": "no memory"}
            continue
        finally:
            call, tasks, engines = lambda: None, None, []  # type: ignore[assignment]
        before[name, matmul] = size, taken
        step = taken / size / case.steps
        plain = step if name == PLAIN else plain
        yield {
            **row,
            "ms_a_step_and_task": 1e3 * step,
            "times_plain_pytorch": plain / step,
            "tasks_a_second": size / taken,
            "share_of_product_rate": flops / step / rates[matmul],
            "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else None,
        }


def product_rate(device: str, side: int, matmul: str, seconds: float) -> float:
    """Measure operations a second of a large product of float32 matrices."""
    a = torch.rand(side, side, device=device)
    with running(matmul=matmul):
        return 2 * side**3 / timed(lambda: a @ a, device, seconds)


class Noise(ImageSource):
    """Images of noise, as many as Omniglot's training characters have, turned ones included."""

    name = "noise"

    def __init__(self, classes: int) -> None:
        super().__init__(input_shape=(1, 28, 28), rotations=True)
        self.number = classes

    def key(self) -> dict[str, object]:
        return {"classes": self.number}

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        for i in range(self.number):
            pixels = np.random.default_rng(i).integers(256, size=(20, 28, 28, 1), dtype=np.uint8)
            yield f"class{i}", partial(Pictures, pixels, [])

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return {"train": list(names[20:]), "val": [], "test": list(names[:20])}


class Clock(Callback):
    """Time a run's iterations, but for those that warm up and record."""

    def __init__(self, device: str, skipped: int) -> None:
        self.device, self.skipped, self.begun, self.seconds = device, skipped, 0.0, 0.0

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.skipped:
            wait(self.device)
            self.begun = time.perf_counter()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        wait(self.device)
        self.seconds = (time.perf_counter() - self.begun) / (trainer.max_steps - self.skipped)


def whole_run(
    case: Case, device: str, iterations: int, classes: int, **settings: Any
) -> dict[str, Any]:
    """Train for some outer iterations as a real run does; return seconds and tasks a second."""
    rule = case.reptile(**settings)
    data = EpisodeDataModule(
        Noise(classes), rule, EvaluationSettings(monitor_every=0), seed=0, ways=case.ways, shots=5,
        train_shots=case.shots, outer_steps=iterations, on_device="always",
    )  # fmt: skip
    learner = MetaLearner(rule, case.network().module, Classification(), outer_steps=iterations)
    clock = Clock(device, skipped=iterations // 3)
    accelerator: Any = "cpu" if device == "cpu" else "cuda"
    config = TrainerConfig(max_steps=iterations, accelerator=accelerator, progress=False)
    build_trainer(None, [], config, callbacks=[clock]).fit(learner, data)
    found = {
        "seconds_an_iteration": clock.seconds,
        "tasks_a_second": rule.meta_batch_size / clock.seconds,
    }
    return {**settings, "iterations": iterations, **found}


def on_processor(case: Case, threads: int, seconds: float) -> dict[str, Any]:
    """Measure the same steps on some threads of this machine's processor."""
    before, engine = torch.get_num_threads(), NativeSteps()
    torch.set_num_threads(threads)
    tasks = case.tasks(5, "cpu")
    with running(engine):
        taken = timed(meta_batch(case, case.reptile(meta_batch_size=5), tasks), "cpu", seconds)
    torch.set_num_threads(before)
    return {
        "threads": threads,
        "tasks_a_second": 5 / taken,
        "in_code_of_our_own": engine.taken > 0,
    }


def whole(case: Case, device: str, quick: bool, seconds: float) -> dict[str, Any]:
    """Measure whole runs of the published setting, in turn and at once, and what follows from them."""
    classes, many = (30, 4) if quick else (1220, 128)
    in_turn = whole_run(
        case, device, 6 if quick else 300, classes, meta_batch_size=2 if quick else 5
    )
    at_once = whole_run(
        case, device, 6 if quick else 90, classes, meta_batch_size=many, parallel=True
    )
    processor = on_processor(case, 1 if quick else 2, seconds)
    return {
        "in_turn": in_turn,
        "at_once": at_once,
        "processor": processor,
        "published_run_minutes": in_turn["seconds_an_iteration"] * PUBLISHED_ITERATIONS / 60,
        "at_once_over_processor": at_once["tasks_a_second"] / processor["tasks_a_second"],
    }


def show(row: dict[str, Any]) -> str:
    """Write one measurement as a line."""
    head = f"{row['way']:26s} {row['tasks']:4d} tasks {row['matmul']:8s}"
    if "not_measured" in row:
        return f"{head} {row['not_measured']}"
    memory = f"{row['peak_gb']:6.2f} GB" if row["peak_gb"] is not None else ""
    step, ratio = f"{row['ms_a_step_and_task']:9.4f} ms", f"{row['times_plain_pytorch']:6.1f}x"
    return f"{head} {step} {ratio} {row['share_of_product_rate']:6.1%} {memory}"


def main() -> None:
    """Check, measure, print, write outputs/benchmarks/gpu.json; fail where results are not equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="small networks, a few tasks: a test")
    parser.add_argument(
        "--minutes", type=float, default=7, help="nothing new is measured after these"
    )
    parser.add_argument("--cases", default=",".join(CASES))
    options = parser.parse_args()
    device, quick, until = options.device, options.quick, time.perf_counter() + 60 * options.minutes
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU here: add --device cpu")
    if unknown := set(options.cases.split(",")) - CASES.keys():
        sys.exit(f"error: --cases={unknown.pop()} is not known: there are {', '.join(CASES)}")
    cases = {name: CASES[name] for name in options.cases.split(",")}
    if quick:
        small: dict[str, Any] = {"filters": 8, "steps": 2, "shots": 3}
        cases = {n: replace(c, **small, side=min(c.side, 28)) for n, c in cases.items()}
    sizes, seconds, side = ([2, 3], 0.0, 256) if quick else ([5, 32, 128, 512], 1.0, 8192)
    precisions = ["highest"] if quick else ["highest", "high"]
    rates = {m: product_rate(device, side, m, seconds) for m in precisions}
    name = torch.cuda.get_device_name() if device == "cuda" else "processor"
    found: dict[str, Any] = {
        "device": name, "torch": torch.__version__, "quick": quick, "product_flops": rates,
        "equality": {}, "cases": {},
    }  # fmt: skip
    print(name, *(f"{m}: {rate / 1e12:.2f} TFLOP/s" for m, rate in rates.items()), sep=", ")
    for name, case in cases.items():
        found["equality"][name] = list(differences(case, device))
        for dtype in TOLERANCES:
            worst = max(r["error"] for r in found["equality"][name] if r["dtype"] == dtype)
            print(f"{name} in {dtype} differs from the processor by {worst:.1e}")
    if "omniglot" in cases:
        found["whole_runs"] = whole(cases["omniglot"], device, quick, seconds)
        print("whole runs:", json.dumps(found["whole_runs"], indent=2))
    for name, case in cases.items():
        print(f"\n{name}: {case.steps} steps of {case.batch} images; a step and task, times plain")
        print("PyTorch, share of the rate of a large matrix product, peak memory", flush=True)
        found["cases"][name] = []
        for row in measure(case, device, sizes, rates, seconds, until):
            found["cases"][name].append(row)
            print(show(row), flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2) + "\n")
    if not all(row["ok"] for rows in found["equality"].values() for row in rows):
        sys.exit(f"error: the device does not compute what the processor does, see {OUT}")


if __name__ == "__main__":
    main()
