"""When checkpoints are written, in real fits in this process, and real signals to it."""

import signal
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer

from firstorder.algo import Reptile
from firstorder.model import MLP
from firstorder.run.learner import MetaLearner
from firstorder.run.saving import BEST, LAST, SaveCheckpoints
from firstorder.run.trainer import CHECKPOINTS, TrainerConfig, build_trainer
from firstorder.signals import STOPS, Stopped, stopping
from firstorder.task import Regression
from tests.run.test_learner import EVALUATION, SETTINGS, waves


class SignalAt(Callback):
    """Send this process a signal within an iteration, counted from 0."""

    def __init__(self, number: int, iteration: int, times: int = 1) -> None:
        self.number, self.iteration, self.times = number, iteration, times

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        if trainer.global_step == self.iteration + 1:
            for _ in range(self.times):
                signal.raise_signal(self.number)


def fit(folder: Path, *callbacks: Callback, steps: int = 5, **settings: object) -> MetaLearner:
    algorithm = Reptile(**SETTINGS)
    torch.manual_seed(0)
    learner = MetaLearner(algorithm, MLP(hidden=[8]), Regression(), outer_steps=steps,
                          evaluation=EVALUATION)  # fmt: skip
    data = waves(algorithm, steps)
    config = TrainerConfig(
        max_steps=steps, progress=False, accelerator="cpu", compile="never", **settings  # type: ignore[arg-type]
    )  # fmt: skip
    trainer = build_trainer(folder, [], config, callbacks=callbacks, monitor_every=2)
    trainer.fit(learner, data)
    (saver,) = (c for c in trainer.checkpoint_callbacks if isinstance(c, SaveCheckpoints))
    saver.finish(trainer)
    return learner


def steps(folder: Path) -> dict[str, int]:
    found = folder.glob(f"{CHECKPOINTS}/*")
    return {path.name: torch.load(path, weights_only=True)["global_step"] for path in found}


def test_the_last_ones_are_kept_and_the_best(tmp_path: Path) -> None:
    class Score(Callback):
        def on_validation_end(self, trainer: Trainer, learner: MetaLearner) -> None:  # type: ignore[override]
            scored[trainer.global_step] = learner.objective("val")

    scored: dict[int, float | None] = {}
    fit(tmp_path, Score(), steps=7, checkpoint_every=2, checkpoints_kept=3)
    best = max(scored, key=lambda step: scored[step] or 0.0)
    assert list(scored) == [2, 4, 6]
    assert steps(tmp_path) == {LAST: 7, "last-1.ckpt": 6, "last-2.ckpt": 4, BEST: best}


def test_checkpoints_come_by_the_clock_too(tmp_path: Path) -> None:
    fit(tmp_path, checkpoint_minutes=1e-9)
    assert steps(tmp_path)["last-1.ckpt"] == 4


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_ends_training_after_the_iteration_with_the_status_of_shells(
    number: signal.Signals, tmp_path: Path
) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped, stopping():
        fit(tmp_path, SignalAt(number, 2))
    assert stopped.value.code == 128 + number
    assert steps(tmp_path)[LAST] == 3
    assert signal.getsignal(number) == before


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    with pytest.raises(Stopped), stopping():
        fit(tmp_path, SignalAt(signal.SIGINT, 2, times=2))
    assert LAST not in steps(tmp_path)


def test_a_signal_in_the_last_iteration_finds_it_saved(tmp_path: Path) -> None:
    with pytest.raises(Stopped), stopping():
        fit(tmp_path, SignalAt(signal.SIGTERM, 4))
    assert steps(tmp_path)[LAST] == 5


def test_a_launcher_that_listens_hears_of_the_signal(tmp_path: Path) -> None:
    heard = []
    signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(Stopped), stopping():
            signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    assert heard == [signal.SIGUSR2]


def test_what_a_process_was_started_to_ignore_it_ignores() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stopping():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
