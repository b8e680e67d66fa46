"""Runs over several ranks, as real processes, and the arithmetic of their shares."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from firstorder.algo import Reptile
from firstorder.algo.base import Context
from firstorder.data.sampler import TRAIN, EpisodeSampler, MetaBatches
from firstorder.data.sinusoid import Sinusoid
from firstorder.inner_optimizer import AdamState
from firstorder.meta_gradient import MetaGradient
from firstorder.model import MLP
from firstorder.network import Network
from firstorder.run.scores import read_scores
from firstorder.task.loss import TaskLoss
from tests.conftest import ROOT, Script

SMALL = [
    "data=sinusoid", "logger=csv", "trainer.progress=false", "trainer.accelerator=cpu",
    "trainer.threads=1", "trainer.log_every=2", "trainer.compile=never",
]  # fmt: skip
# Neither the meta-batches nor the tasks of an evaluation can be shared equally by two or three.
UNEQUAL = [
    *SMALL, "trainer.max_steps=4", "algo.meta_batch_size=4", "eval.tasks=7", "eval.batch=2",
    "eval.curve_tasks=5", "eval.monitor_every=2", "eval.monitor_tasks=4",
]  # fmt: skip
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node"]


def weights(run: Path) -> torch.Tensor:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    found: torch.Tensor = checkpoint["state_dict"]["meta_parameters.phi"]
    return found


def metrics(run: Path) -> list[dict[str, float]]:
    rows = csv.DictReader((run / "metrics.csv").open())
    return [{name: float(value) for name, value in row.items() if value} for row in rows]


@pytest.fixture(scope="module")
def alone(script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of one process."""
    folder = tmp_path_factory.mktemp("alone")
    done = script("train.py", *UNEQUAL, "hydra.run.dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def slurm(rank: int) -> dict[str, str]:
    """Return what srun puts into the environment of one of two tasks."""
    two = ("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS_PER_NODE")
    ranked = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": 0, "SLURM_NNODES": 1}
    port = 20000 + os.getpid() % 10000  # Lightning's own follows from the number of the job
    return {
        **dict.fromkeys(two, "2"), **{name: str(value) for name, value in ranked.items()},
        "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_take_the_steps_of_one_process_in_one_folder(
    ranks: int, alone: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Two as srun starts them, and three of torchrun, each with a clock of its own."""
    command = [ROOT / "src" / "train.py", *UNEQUAL, f"trainer.devices={ranks}"]
    how: dict[str, Any] = {"cwd": tmp_path, "text": True, "stdout": subprocess.PIPE}
    if ranks == 3:
        processes = [subprocess.Popen([*TORCHRUN, "3", *command], env=environment, **how)]
    else:
        processes = [
            subprocess.Popen([sys.executable, *command], env={**environment, **slurm(rank)}, **how)
            for rank in range(2)
        ]
    said = "".join(process.communicate(timeout=150)[0] for process in processes)
    assert [process.returncode for process in processes] == [0] * len(processes)
    assert said.count("outer iterations in") == 1
    (run,) = tmp_path.glob("outputs/reptile_sinusoid/*")
    torch.testing.assert_close(weights(run), weights(alone))
    for row, expected in zip(metrics(run), metrics(alone), strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    found, expected = (json.loads((f / "results.json").read_text()) for f in (run, alone))
    assert found["test"]["mse"] == pytest.approx(expected["test"]["mse"], rel=1e-4)
    assert found["adaptation"]["tasks"] == 5
    assert found["adaptation"]["mse"] == pytest.approx(expected["adaptation"]["mse"], rel=1e-3)
    scores, once = (read_scores(f / "scores.npz") for f in (run, alone))
    assert scores.task.tolist() == list(range(7))
    torch.testing.assert_close(scores.scores["mse"], once.scores["mse"], rtol=1e-3, atol=1e-5)


def test_as_many_processes_as_devices(environment: dict[str, str], tmp_path: Path) -> None:
    """Neither does one job run twice, nor does a command that cannot be shared."""
    done = subprocess.run(
        [*TORCHRUN, "2", ROOT / "src" / "train.py", *UNEQUAL], cwd=tmp_path, env=environment,
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "error: torchrun or srun has started 2 processes, and trainer.devices=1" in done.stderr
    assert not list(tmp_path.rglob("run.json"))


FAILING = """
import sys
sys.path.insert(0, {src!r})
from firstorder.run.learner import MetaLearner
from firstorder.run.ranks import this_rank

step = MetaLearner.training_step

def failing(self, tasks, index):
    if self.global_step == 20 and this_rank() == 1:
        raise ValueError("this rank fails alone")
    return step(self, tasks, index)

MetaLearner.training_step = failing
from train import main
main()
"""
SIGNALLED = """
import os, sys
sys.path.insert(0, {src!r})
from torch import distributed
from firstorder.run.learner import MetaLearner
from firstorder.run.ranks import this_rank

step, sent = MetaLearner.training_step, []

def counted(name):
    message = getattr(distributed, name)
    def send(*arguments, **keywords):
        sent.append(name)
        return message(*arguments, **keywords)
    setattr(distributed, name, send)

for name in "all_reduce", "broadcast", "all_gather", "barrier":
    counted(name)

def signalled(self, tasks, index):
    if self.global_step == 3:
        sent.clear()
    if this_rank() == 1 and (number := {signals}.get(self.global_step)):
        print("messages of three iterations:", *sent)
        os.kill(os.getpid(), number)
    return step(self, tasks, index)

MetaLearner.training_step = signalled
from train import main
main()
"""
LONG = [*SMALL, "trainer.max_steps=1000000", "eval.monitor_every=0", "eval.tasks=3"]


def test_a_rank_that_fails_alone_ends_the_run(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING.format(src=str(ROOT / "src")))
    done = subprocess.run(
        [sys.executable, "failing.py", *LONG, "trainer.devices=2", "hydra.run.dir=run"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "rank 1, error: this rank fails alone" in done.stderr
    assert "Traceback" not in done.stderr
    journal = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (journal["status"], journal["iteration"]) == ("failed", 20)
    assert "another rank has ended" in journal["error"]
    assert weights(tmp_path / "run").isfinite().all()


@pytest.mark.timeout(600)
def test_ranks_agree_on_a_signal_to_one_of_them_in_the_one_message_of_an_iteration(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Both end after the same iteration, with one checkpoint, and the run goes on to the same bits."""
    signals = {6: int(signal.SIGUSR1), 8: int(signal.SIGTERM)}
    (tmp_path / "signalled.py").write_text(SIGNALLED.format(src=str(ROOT / "src"), signals=signals))
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"

    def of_two(script: str | Path, *more: str) -> tuple[list[int], str]:
        command = [sys.executable, script, *UNEQUAL, "trainer.max_steps=11", "trainer.devices=2"]
        processes = [
            subprocess.Popen(
                [*command, "eval.monitor_every=0", *more], env={**environment, **slurm(rank)},
                cwd=tmp_path, text=True, stdout=subprocess.PIPE,
            )
            for rank in range(2)
        ]  # fmt: skip
        said = "".join(process.communicate(timeout=150)[0] for process in processes)
        return [process.returncode for process in processes], said

    status, said = of_two("signalled.py", "hydra.run.dir=run")
    assert status == [128 + signal.SIGUSR1] * 2
    assert said.count("stopped after 7 iterations") == 1
    assert "messages of three iterations: all_reduce all_reduce all_reduce\n" in said
    assert [path.name for path in last.parent.iterdir()] == ["last.ckpt"]
    status, said = of_two("signalled.py", "hydra.run.dir=run", f"ckpt_path={last}")
    assert status == [128 + signal.SIGTERM] * 2
    assert said.count("stopped after 9 iterations") == 1
    train = ROOT / "src" / "train.py"
    assert of_two(train, "hydra.run.dir=run", f"ckpt_path={last}")[0] == [0, 0]
    assert of_two(train, "hydra.run.dir=undisturbed")[0] == [0, 0]
    assert torch.equal(weights(tmp_path / "run"), weights(tmp_path / "undisturbed"))


def test_a_rank_that_is_killed_ends_the_others_and_the_run_goes_on(
    script: Script, environment: dict[str, str], tmp_path: Path
) -> None:
    """One of three, under torchrun; it goes on in one process."""
    command = [*LONG, "trainer.checkpoint_every=5", "hydra.run.dir=run"]
    process = subprocess.Popen(
        [*TORCHRUN, "3", ROOT / "src" / "train.py", *command, "trainer.devices=3"],
        cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    last, deadline = tmp_path / "run" / "checkpoints" / "last.ckpt", time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    started = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    ranks = [int(pid) for pid in started.read_text().split()]
    assert len(ranks) == 3
    os.kill(ranks[1], signal.SIGKILL)
    assert process.wait(timeout=60) != 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in ranks)
    step = torch.load(last, weights_only=True)["global_step"]
    more = [f"trainer.max_steps={step + 2}", f"ckpt_path={last}"]
    done = script("train.py", *command, *more, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["steps"] == step + 2


@pytest.mark.parametrize(("episodes", "size", "ranks"), [(7, 4, 3), (24, 40, 8), (9, 2, 2)])
def test_every_episode_is_dealt_to_one_rank(episodes: int, size: int, ranks: int) -> None:
    sampler = EpisodeSampler(
        source=Sinusoid(), split="train", stream=TRAIN, seed=0, ways=1, shots=2, query_shots=0,
        steps=1, batch_size=1,
    )  # fmt: skip
    dealt = [MetaBatches(sampler, episodes, size, rank, ranks) for rank in range(ranks)]
    shares = [batches.numbers(i) for batches in dealt for i in range(len(batches))]
    assert all(len(share) for share in shares)
    assert sorted(number for share in shares for number in share) == list(range(episodes))


@pytest.mark.parametrize(
    "settings",
    [{"inner_optimizer": "sgd"}, {"inner_state": "mean"}, {"parallel": True}],
    ids=["sgd", "adam, a mean state", "adam, at once"],
)
def test_shares_of_a_meta_batch_average_to_the_whole(settings: dict[str, object]) -> None:
    """Whatever the number of ranks, twice in a row; the inner state too."""
    torch.manual_seed(0)
    source, network = Sinusoid(), Network(MLP(inputs=1, outputs=1, hidden=[8]))
    algorithm = Reptile(
        inner_steps=3, inner_batch_size=5, inner_lr=0.01, meta_batch_size=5, **settings
    )
    loss = TaskLoss(network, source.kind.criterion, "sum")
    sampler = EpisodeSampler(
        source=source, split="train", stream=TRAIN, seed=0, ways=1, shots=10, query_shots=0,
        steps=3, batch_size=5,
    )  # fmt: skip
    meta = algorithm.meta_parameters(network)
    start = algorithm.optimizer.init(meta["phi"])
    if isinstance(start, AdamState):  # as training has left it
        start = AdamState(start.m, torch.rand_like(start.v), start.t + 7)

    def whole(ranks: int) -> MetaGradient:
        shares = [MetaBatches(sampler, 5, 5, rank, ranks)[0] for rank in range(ranks)]
        each = [
            algorithm.meta_batch(loss, meta, start, tasks, Context(network.layout))
            for tasks in shares
        ]
        parts = [len(tasks.support_x) / 5 for tasks in shares]
        return torch.utils._pytree.tree_map(
            lambda *tensors: sum(p * t for p, t in zip(parts, tensors, strict=True)), *each
        )

    expected = whole(1)
    for ranks in (2, 3):
        torch.testing.assert_close(whole(ranks), expected, rtol=1e-4, atol=1e-6)
