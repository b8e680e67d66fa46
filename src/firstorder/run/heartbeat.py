"""The heartbeat of a run: how far it is, how fast, when it ends, and when to worry."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from lightning import Callback, LightningModule, Trainer

from firstorder.run.callbacks import TrainingTime
from firstorder.run.journal import Journal

EVERY = 10.0  # seconds between two beats
PATIENCE = (
    60.0  # seconds without one at which a run counts as stalled; or ten iterations, if longer
)
TESTING = 600.0  # the same while it is tested, where a batch of tasks is all that is seen


class Heartbeat(Callback):
    """Note in run.json where a run is, every ten seconds and whatever it is doing.

    Args:
        journal: what run.json says.
        training_time: counts the seconds behind the weights.
    """

    def __init__(self, journal: Journal, training_time: TrainingTime) -> None:
        self.journal, self.training_time = journal, training_time
        self._beaten = 0.0
        self._first: tuple[float, int] | None = None  # when this leg's first iteration ended

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if self._first is None:
            self._first = time.perf_counter(), trainer.global_step
        self._beat(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn == "fit":
            self._beat(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.journal.write(expected_end=None, due_within=TESTING)

    def on_test_batch_end(self, *_: Any) -> None:
        if time.perf_counter() - self._beaten > EVERY:
            self._beaten = time.perf_counter()
            self.journal.write(due_within=TESTING)

    def _beat(self, trainer: Trainer) -> None:
        now, step = time.perf_counter(), trainer.global_step
        if now - self._beaten <= EVERY:
            return
        self._beaten = now
        seconds = self.training_time.seconds
        if self._first is None or step == self._first[1]:
            self.journal.write(iteration=step, train_seconds=seconds)
            return
        rate = (step - self._first[1]) / (now - self._first[0])
        left = timedelta(seconds=(trainer.max_steps - step) / rate)
        self.journal.write(
            iteration=step,
            train_seconds=seconds,
            rate=rate,
            expected_end=(datetime.now(UTC) + left).isoformat(timespec="seconds"),
            due_within=max(PATIENCE, 10 / rate),
        )
