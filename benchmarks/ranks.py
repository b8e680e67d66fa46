"""What ranks gain: measured on this machine, and a formula for more of them, tried with injected delays.

python benchmarks/ranks.py speed      # 1, 2 and 3 processes of one thread on Omniglot
python benchmarks/ranks.py simulate   # 1 to 8 processes that sleep where they would compute or send
python benchmarks/ranks.py noise CHECKPOINT   # how far the directions of single tasks scatter

See docs/scale.md.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import distributed, multiprocessing

SRC = Path(__file__).parents[1] / "src"
TASK, FIXED = 0.200, 0.050  # seconds: an inner loop, and what is done once an iteration
HOP, BANDWIDTH = 0.020, 10e6  # of the injected network: seconds a message, bytes a second
MESSAGE = 1_350_000  # bytes
TASKS, ROUNDS = 8, 7


def iteration(ranks: int, tasks: int, task: float, fixed: float, average: float) -> float:
    """Return the seconds of an outer iteration: the largest share of the tasks, then one average."""
    return -(-tasks // ranks) * task + fixed + average


def ring(ranks: int, size: float, hop: float, bandwidth: float) -> float:
    """Return the seconds of a ring all-reduce: 2 (R - 1) messages of an R-th of the bytes, one by one."""
    return 2 * (ranks - 1) * (hop + size / ranks / bandwidth)


def delayed_ring(flat: torch.Tensor, rank: int, ranks: int) -> None:
    """Sum a vector over the ranks hop by hop, each message held up as on a slow network."""
    chunks = list(flat.tensor_split(ranks))
    for turn in range(2 * (ranks - 1)):
        give, take = (rank - turn) % ranks, (rank - turn - 1) % ranks
        received = torch.empty_like(chunks[take])
        time.sleep(HOP + chunks[give].numel() * 4 / BANDWIDTH)
        sent = distributed.isend(chunks[give].contiguous(), (rank + 1) % ranks)
        distributed.recv(received, (rank - 1) % ranks)
        assert sent is not None
        sent.wait()
        chunks[take].copy_(received if turn >= ranks - 1 else chunks[take] + received)


def simulated(rank: int, ranks: int, port: int, out: str) -> None:
    """Take outer iterations of sleep; the first rank writes the median seconds of one."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    seconds = []
    for _ in range(ROUNDS):
        distributed.barrier()
        start = time.perf_counter()
        for _ in range(rank, TASKS, ranks):
            time.sleep(TASK)
        time.sleep(FIXED)
        flat = torch.full((MESSAGE // 4,), float(rank))
        delayed_ring(flat, rank, ranks)
        assert flat.eq(sum(range(ranks))).all()
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        Path(out).write_text(json.dumps(sorted(seconds)[ROUNDS // 2]))
    distributed.barrier()


def simulate() -> None:
    """Print the seconds of an iteration with injected delays, and what the formula says."""
    print("| ranks | predicted ms | with injected delays |\n|---|---|---|")
    for ranks in (1, 2, 3, 4, 8):
        with tempfile.NamedTemporaryFile() as file:
            arguments = (ranks, 29500 + ranks, file.name)
            multiprocessing.spawn(simulated, arguments, nprocs=ranks)  # type: ignore[attr-defined]
            found = json.loads(Path(file.name).read_text())
        average = ring(ranks, MESSAGE, HOP, BANDWIDTH)
        predicted = iteration(ranks, TASKS, TASK, FIXED, average)
        print(f"| {ranks} | {1000 * predicted:.0f} | {1000 * found:.0f} |", flush=True)


def speed(steps: int | str = 400, tasks: int = 6, *more: str) -> None:
    """Print the outer iterations a second of real training runs."""
    print("| processes | iterations a second | times one | test accuracy |\n|---|---|---|---|")
    rates: list[float] = []
    for ranks in (1, 2, 3):
        with tempfile.TemporaryDirectory() as folder:
            command = [
                sys.executable, str(SRC / "train.py"), "data=omniglot", f"trainer.max_steps={steps}",
                f"algo.meta_batch_size={tasks}", "trainer.accelerator=cpu", "trainer.threads=1",
                f"trainer.devices={ranks}", "trainer.progress=false", "logger=csv",
                "eval.monitor_every=0", "eval.tasks=200", "eval.curve_tasks=0", f"hydra.run.dir={folder}",
                *more,
            ]  # fmt: skip
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            results = json.loads((Path(folder) / "results.json").read_text())
        rates.append(int(steps) / results["train_seconds"])
        test = results["test"]["transductive"]
        print(
            f"| {ranks} | {rates[-1]:.2f} | {rates[-1] / rates[0]:.2f} |"
            f" {test['accuracy']:.4f} ± {test['ci95']:.4f} |",
            flush=True,
        )


def noise(path: str, tasks: int = 60) -> None:
    """Print the noise scale: the variance of a task's direction over the square of the mean one.

    It is the meta-batch at which half of a step is signal (McCandlish et al. 2018, B_simple). Both are
    unbiased estimates from independent tasks, all started from the checkpoint's weights and inner state.
    """
    from hydra import compose, initialize_config_dir

    from firstorder.cli.assembly import build
    from firstorder.cli.schema import register
    from firstorder.data.sampler import MetaBatches
    from firstorder.places import CONF
    from firstorder.run.learner import MetaLearner

    learner = MetaLearner.load_from_checkpoint(path)
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["data=omniglot", "logger=csv"])
    source = build(cfg, "data.source")
    source.prepare()
    source.setup()
    algorithm = learner.algorithm
    from firstorder.data.datamodule import EpisodeDataModule

    data = EpisodeDataModule(
        source, algorithm, learner.evaluation, seed=1, ways=cfg.data.ways, shots=cfg.data.shots,
        train_shots=cfg.data.train_shots, outer_steps=1,
    )  # fmt: skip
    batches = MetaBatches(data.training_sampler(), tasks, 1)
    directions = torch.stack([
        algorithm.meta_batch(
            learner.loss, learner.meta, learner.inner_state, batches[i].to_float(), learner.context()
        ).direction["phi"]
        for i in range(tasks)
    ])  # fmt: skip
    variance = directions.var(0).sum().item()
    square = directions.mean(0).square().sum().item() - variance / tasks
    print(
        f"noise scale {variance / square:.2f} tasks (variance {variance:.3g}, mean squared {square:.3g})"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, *arguments = sys.argv[1:] or ["speed"]
    commands = {"speed": speed, "simulate": simulate, "noise": noise}
    commands[command](*(int(each) if each.isdecimal() else each for each in arguments))  # type: ignore[operator]
