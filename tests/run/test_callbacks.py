from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
import torch

from firstorder.algo import Reptile
from firstorder.model import MLP
from firstorder.run import callbacks
from firstorder.run.callbacks import CompileInnerLoop, TrainingTime
from firstorder.run.journal import Journal
from firstorder.run.learner import MetaLearner
from firstorder.task import Regression
from tests.run.test_learner import SETTINGS


@pytest.mark.parametrize(
    ("setting", "device", "engines"),
    [
        ("auto", "cpu", ["NativeSteps"]),
        ("always", "cpu", ["NativeSteps", "Compiler"]),
        ("never", "cpu", []),
        ("auto", "cuda", ["CudaGraphs"]),
        ("always", "cuda", ["CudaGraphs"]),
        ("never", "cuda", []),
        ("auto", "mps", []),
    ],
)
def test_a_processor_compiles_and_a_gpu_replays(
    setting: str, device: str, engines: list[str]
) -> None:
    learner = MetaLearner(Reptile(**SETTINGS), MLP(), Regression(), outer_steps=1)
    trainer: Any = SimpleNamespace(
        max_steps=1, strategy=SimpleNamespace(root_device=torch.device(device))
    )
    with patch.object(callbacks, "set_engines") as set_engines:
        CompileInnerLoop(setting).setup(trainer, learner, "fit")
    assert [type(engine).__name__ for engine in set_engines.call_args.args] == engines


def leg(folder: Path, journal: Journal, known: dict[str, Any] | None, until: int) -> dict[str, Any]:
    """Train from a checkpoint's state up to an iteration of ten, and return the next state."""
    time, at = TrainingTime(journal), known["at"] if known else 0
    if known:
        time.load_state_dict(known)
    trainer: Any = SimpleNamespace(global_step=at, max_steps=10)
    time.on_train_start(trainer, None)  # type: ignore[arg-type]
    trainer.global_step = until
    time.on_train_end(trainer, None)  # type: ignore[arg-type]
    return {**time.state_dict(), "at": until}


def test_seconds_and_interruptions_add_up_over_legs(tmp_path: Path) -> None:
    state = None
    seconds, interruptions = [], []
    for until in (4, 7, 10):
        state = leg(tmp_path, Journal(tmp_path, []), state, until)  # each in a folder of its own
        seconds.append(state["train_seconds"])
        interruptions.append(state["interruptions"])
    assert 0 < seconds[0] < seconds[1] < seconds[2]
    assert interruptions == [0, 1, 2]


def test_a_finished_run_that_is_made_longer_was_not_interrupted(tmp_path: Path) -> None:
    state = leg(tmp_path, Journal(tmp_path, []), None, until=10)
    assert leg(tmp_path, Journal(tmp_path, []), state, until=20)["interruptions"] == 0


def test_a_leg_killed_before_its_first_checkpoint_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path, [])
    state = leg(tmp_path, journal, None, until=4)
    leg(tmp_path, journal, state, until=5)  # its own checkpoint is lost
    assert leg(tmp_path, journal, state, until=10)["interruptions"] == 2
