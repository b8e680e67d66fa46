"""When checkpoints are written: every so often, at each best validation, and when a run is stopped."""

import math
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import distributed

from firstorder.run.atomic import writing
from firstorder.run.evaluated import EvaluatedLearner
from firstorder.run.learner import MetaLearner
from firstorder.signals import STOPS, Stopped, stop_signals

LAST, BEST = "last.ckpt", "best.ckpt"


class SaveCheckpoints(Checkpoint):
    """Write last.ckpt and best.ckpt, and stop a run that a signal asks to.

    An iteration ends with its validation, if it has one. All that is done here is done when the next one
    begins, so that a run goes on from a checkpoint without a validation that is lost or done twice.

    Args:
        folder: where checkpoints lie.
        every: outer iterations between two.
        minutes: the longest time between two; None for any.
        kept: how many of the last ones stay: last.ckpt, last-1.ckpt and so on.
    """

    def __init__(self, folder: Path, *, every: int, minutes: float | None, kept: int) -> None:
        super().__init__()
        self.folder, self.every, self.kept = folder, every, kept
        self.seconds = math.inf if minutes is None else 60 * minutes
        self.best = -math.inf  # the highest objective of a validation
        self._saved_at, self._saved_step = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = state_dict["best"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.is_global_zero:
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Count whole iterations only: Lightning tells by them when the next validation is."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        ahead = trainer.global_step - progress["total"]["completed"]
        for counts in progress["total"], progress["current"]:
            whole = counts["completed"] + ahead
            counts.update(ready=whole, started=whole, processed=whole, completed=whole)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stop_signals.defer(True)
        stop_signals.listen()  # Lightning has put handlers of its own over ours
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        assert isinstance(pl_module, MetaLearner)
        pl_module.ask, pl_module.asked = self._ask, torch.zeros(len(self._ask()))
        loop: Any = trainer.fit_loop.epoch_loop  # it would broadcast in each iteration whether a
        loop._broadcast_sigterm_tensor = lambda: (
            None
        )  # handler of its own, now replaced, was called

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stop_signals.listen()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, MetaLearner)
        is_alone = trainer.world_size == 1
        signal, is_time = understood(self._ask() if is_alone else pl_module.asked.tolist())
        step = trainer.global_step
        is_due = step > self._saved_step and (is_time or step % self.every == 0)
        if is_due or (signal and step):
            self._save(trainer)
        if signal:
            self._stop(trainer, signal)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, EvaluatedLearner)
        score = pl_module.objective("val")
        if trainer.state.fn == "fit" and score is not None and score > self.best:
            self.best = score
            trainer.save_checkpoint(self.folder / BEST)

    def finish(self, trainer: Trainer) -> None:
        """Write the checkpoint of the last iteration; then stop if a signal asks to."""
        mine = torch.tensor(self._ask(), device=trainer.strategy.root_device)
        if trainer.world_size > 1:  # one may have come since the last iteration's message
            distributed.all_reduce(mine)
        signal, _ = understood(mine.tolist())
        self._save(trainer)
        stop_signals.defer(False)
        if signal:
            self._stop(trainer, signal)

    def _ask(self) -> list[float]:
        """Return what this rank asks of all: 1 or 0 for each signal, and for the clock."""
        is_time = time.monotonic() - self._saved_at > self.seconds
        return [*(float(stop_signals.noted == number) for number in STOPS), float(is_time)]

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.folder / LAST, storage_options={"earlier": self.kept - 1})
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step

    def _stop(self, trainer: Trainer, signal: int) -> None:
        stop_signals.defer(False)
        if trainer.is_global_zero and trainer.global_step:
            say_stopped(trainer, self.folder / LAST)
        raise Stopped(signal)


def understood(asked: list[float]) -> tuple[int, bool]:
    """Return the signal that any rank has got, 0 for none, and whether it is time for one to save."""
    *signals, is_time = asked
    came = [number for number, share in zip(STOPS, signals, strict=True) if share]
    return max(came, default=0), is_time > 0


def say_stopped(trainer: Trainer, path: Path) -> None:
    """Say how far a run came, and how it goes on."""
    print(f"stopped after {trainer.global_step} iterations; go on with ckpt_path={path}")
