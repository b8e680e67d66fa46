"""The whole paper: its sweeps, the evaluations that share their training, the analyses, the report."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from firstorder.cli.assembly import build
from firstorder.cli.paper_settings import PaperSettings
from firstorder.engine import set_engines
from firstorder.engines.native import NativeSteps
from firstorder.inner_loop import step
from firstorder.network import Network
from firstorder.places import COMMANDS
from firstorder.signals import Stopped
from firstorder.task.loss import TaskLoss

logger = logging.getLogger(__name__)

Command = tuple[str, ...]  # a script of src/ and its settings

ONE_SHOT = {"table1": 5, "table2": None, "cifarfs": 5}  # eval.inner_batch_size, None as for 5-shot
BESIDE = ",data.shots=1"  # what the folder of the evaluation adds to the name of the run's
MAML_COST = 3.5  # times Reptile's, measured on Omniglot (docs/results/speed.md)


def run_paper(settings: PaperSettings, conf: Path) -> list[str]:
    """Run what is missing of the paper and write the report; return what failed."""
    seconds, processors = estimates(settings, conf), os.cpu_count() or 1
    hours = sum(seconds.values()) / 3600 / processors
    logger.info("about %.1f hours on %d processors, less what is done", hours, processors)
    if settings.estimate_only:
        return []
    seeds = ",".join(map(str, settings.seeds))
    common = [f"scale={settings.scale}", f"seed={seeds}", "logger=csv"]
    # Two at a time, so that the last long job of one leaves no processor idle; the longest first. The
    # last two may have all processors: one of them will be alone.
    streams = min(2, processors)
    longest_first = sorted(settings.sweeps, key=lambda name: -seconds[name])
    share, last = -(-processors // streams), longest_first[-streams:]
    parts = [
        sweep_and_evaluations(
            name, [*common, f"hydra.launcher.n_jobs={processors if name in last else share}"]
        )
        for name in longest_first
    ]
    failed = run([*parts, analyses(settings.scale)], streams)
    folders = [f"outputs/sweeps/{name}" for name in settings.sweeps] + ["outputs/analyze"]
    return failed + run([[("report.py", f"runs=[{','.join(folders)}]", f"out={settings.out}")]], 1)


def run(parts: Sequence[Iterable[Command]], side_by_side: int) -> list[str]:
    """Run scripts of src/ in processes of their own; return those that failed.

    A signal that stops this process is handed on: a run writes a checkpoint, and ends.

    Args:
        parts: the commands of a part are run one after the other.
        side_by_side: how many parts are run at a time.
    """
    started: list[subprocess.Popen[bytes]] = []

    def all_of(part: Iterable[Command]) -> list[str]:
        failed = []
        for command in part:
            logger.info("python src/%s", " ".join(command))
            script, *overrides = command
            words = [sys.executable, str(COMMANDS / script), *overrides]
            started.append(process := subprocess.Popen(words, stdin=subprocess.DEVNULL))
            if is_stopped.is_set():  # between two commands
                process.send_signal(signal.SIGTERM)
            if process.wait():
                failed.append(" ".join(command[:2]))
            if is_stopped.is_set():
                break
        return failed

    is_stopped = threading.Event()
    with ThreadPoolExecutor(side_by_side) as pool:
        waiting = [pool.submit(all_of, part) for part in parts]
        try:
            return [name for future in waiting for name in future.result()]
        except Stopped:
            is_stopped.set()
            for future in waiting:
                future.cancel()
            for process in started:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            raise


def sweep_and_evaluations(name: str, common: Sequence[str]) -> Iterator[Command]:
    """Yield the command of a sweep and, once that has been run, those of its 1-shot evaluations."""
    yield ("train.py", f"sweep={name}", *common)
    yield from one_shot_evaluations(name)


def analyses(scale: float) -> Iterator[Command]:
    """Yield the commands of the analyses that are still to be run."""
    short = f"analysis.outer_steps={max(20, round(10_000 * scale))}"
    for name, settings in {"manifolds": (), "sine_wave": (short,)}.items():
        folder = Path("outputs/analyze", name, f"scale={scale}")
        if not list(folder.glob("*.png")):  # written last
            yield ("analyze.py", f"analysis={name}", "logger=csv", *settings,
                   f"hydra.run.dir='{folder}'")  # fmt: skip


def one_shot_evaluations(sweep: str) -> Iterator[Command]:
    """Yield the commands that evaluate runs on one image a class, where that has not been done.

    The training of a 5-shot cell serves the 1-shot cell as well.
    """
    if sweep not in ONE_SHOT:
        return
    for results in sorted(Path("outputs/sweeps", sweep).glob("*_5shot*/*/results.json")):
        run = results.parent
        if run.name.endswith(BESIDE):
            continue
        folder = run.with_name(run.name + BESIDE)  # beside it, where the report looks for runs
        if (folder / "results.json").exists():
            continue
        batch = ONE_SHOT[sweep]
        yield (
            "evaluate.py", f"ckpt_path='{run / 'checkpoints' / 'last.ckpt'}'", "data.shots=1",
            *([f"eval.inner_batch_size={batch}"] if batch else []), "logger=csv",
            "trainer.threads=1", "trainer.progress=false", f"hydra.run.dir='{folder}'",
        )  # fmt: skip


def estimates(settings: PaperSettings, conf: Path) -> dict[str, float]:
    """Return the seconds that each sweep would take on one processor, by this machine's speed."""
    costs: dict[str, float] = {}
    seconds: dict[str, float] = {}
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        for name in settings.sweeps:
            sweep = compose("train", [f"sweep={name}"], return_hydra_config=True)
            seconds[name] = len(settings.seeds) * sum(
                seconds_of(job, costs)
                for job in jobs(sweep.hydra.sweeper.params, f"scale={settings.scale}")
            )
    return seconds


def jobs(params: DictConfig, scale: str) -> Iterator[DictConfig]:
    """Yield the config of each job of a grid, with one seed."""
    choices = OverridesParser.create().parse_overrides(
        [f"{key!s}={value}" for key, value in params.items() if key != "seed"]
    )
    names = [override.get_key_element() for override in choices]
    grids = [list(override.sweep_string_iterator()) for override in choices]
    composed: dict[str, DictConfig] = {}
    for values in product(*grids):
        job = dict(zip(names, values, strict=True))
        name = job.pop("experiment")
        if name not in composed:
            composed[name] = compose("train", [f"experiment={name}", scale])
        cfg = composed[name].copy()
        for key, value in job.items():
            OmegaConf.update(cfg, key, OmegaConf.create(f"x: {value}").x)
        yield cfg


def seconds_of(cfg: DictConfig, costs: dict[str, float]) -> float:
    """Return about how long a run takes: training, validation and test, by the images it passes."""
    ways, algo, test = cfg.data.ways, cfg.algo, cfg.eval
    images = cfg.trainer.max_steps * algo.meta_batch_size * algo.inner_steps * algo.inner_batch_size
    if algo._target_.endswith("MAML") and "FO" not in algo._target_:
        images *= MAML_COST
    a_task = test.inner_steps * test.inner_batch_size + ways * (ways * cfg.data.shots + 1) / 3
    validations = cfg.trainer.max_steps // test.monitor_every if test.monitor_every else 0
    tasks = test.tasks + validations * test.monitor_tasks
    name = str(OmegaConf.to_container(cfg.model, resolve=True))
    if name not in costs:
        costs[name] = seconds_an_image(cfg)
    return 3 + (images + tasks * a_task) * costs[name]


def seconds_an_image(cfg: DictConfig) -> float:
    """Measure an inner step of the network, in seconds an image (or a point)."""
    import torch

    algorithm, source = build(cfg, "algo"), build(cfg, "data.source")
    network: Any = Network(build(cfg, "model"))
    loss, phi = TaskLoss(network, source.kind.criterion, "sum"), network.initial()
    x = torch.rand(10, *source.input_shape)
    outputs = network(phi, x)
    y = outputs.detach() if source.kind.measure == "mse" else torch.zeros(10, dtype=torch.int64)
    arguments = loss, algorithm.optimizer, phi, algorithm.optimizer.init(phi), (x, y)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    set_engines(NativeSteps())
    step(*arguments)
    start = time.perf_counter()
    for _ in range(20):
        step(*arguments)
    seconds = time.perf_counter() - start
    set_engines()
    torch.set_num_threads(threads)
    return seconds / 200
