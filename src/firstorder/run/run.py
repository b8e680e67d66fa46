"""One run: its folder, its settings, its loggers and what is recorded of it."""

import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.atomic import Unwritable
from firstorder.run.callbacks import TrainingTime
from firstorder.run.describe import DescribeRun, tags_of
from firstorder.run.heartbeat import Heartbeat
from firstorder.run.journal import open_journal
from firstorder.run.learner import MetaLearner
from firstorder.run.loggers import WeightsAndBiases
from firstorder.run.metrics_file import MetricsFile
from firstorder.run.origin import Origin, origin_of
from firstorder.run.provenance import forget_peak_memory
from firstorder.run.ranks import LostRankError, is_lost_rank
from firstorder.run.saving import LAST, SaveCheckpoints
from firstorder.run.trainer import CHECKPOINTS, TrainerConfig, build_trainer
from firstorder.signals import stop_signals


class Run:
    """What belongs to one run; as a context, it notes how the run ends and closes its loggers.

    Args:
        folder: the run folder.
        config: the run's settings as plain values; `logger.wandb` is None where it is turned off.
        checkpoint: what the run starts from, as `read_checkpoint` returns it.
        job_type: "train" or "eval".
        command: the command line.

    Attributes:
        journal: what run.json says.
        trained: of an evaluation, where its weights come from, see `origin_of`; else None.
        time: counts the seconds behind the weights.
        wandb: the Weights & Biases run, None where there is none.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        *,
        checkpoint: dict[str, Any] | None = None,
        job_type: str = "train",
        command: list[str] | None = None,
    ) -> None:
        self.folder, self.config, self.job_type = folder, config, job_type
        self.first_step = checkpoint["global_step"] if checkpoint else 0
        self.goes_on = checkpoint is not None and is_within(config["ckpt_path"], folder)
        self.journal = open_journal(folder, command or sys.argv, job_type, self.goes_on)
        self.time = TrainingTime(self.journal)
        if known := (checkpoint or {}).get("callbacks", {}).get(self.time.state_key):
            self.time.load_state_dict(known)
        origin = origin_of(checkpoint, config["ckpt_path"]) if checkpoint else None
        self.trained = origin if job_type == "eval" else None
        if origin and not self.trained:  # weights of changed code stay so, whoever trains on
            self.journal.dirty = self.journal.dirty or origin["dirty"]
        self.wandb: WeightsAndBiases | None = None

    @property
    def last_checkpoint(self) -> Path:
        """Where the checkpoint of the last iteration lies."""
        return self.folder / CHECKPOINTS / LAST

    def trainer(self, learner: MetaLearner, datamodule: EpisodeDataModule) -> Trainer:
        """Open the loggers, and build the Trainer that logs to them."""
        first = self.first_step if self.goes_on else 0
        callbacks: list[Callback] = [
            self.time,
            Heartbeat(self.journal, self.time),
            Origin(self.journal),
        ]
        loggers: list[Logger] = [MetricsFile(self.folder / "metrics.csv", first)]
        if settings := self.config["logger"]["wandb"]:
            self.wandb = WeightsAndBiases(
                self.folder,
                settings,
                tags=tags_of(self.config, learner.algorithm.name, datamodule.source.name),
                job_type=self.job_type,
                config={**self.config, **({"trained": self.trained} if self.trained else {})},
                run_id=self.journal.wandb_id,
            )
            self.journal.write(wandb_id=self.wandb.run_id)
            loggers.append(self.wandb.logger)
            callbacks.append(DescribeRun(self.wandb, self.journal))
        return build_trainer(
            self.folder,
            loggers,
            TrainerConfig(**self.config["trainer"]),
            callbacks=callbacks,
            monitor_every=self.config["eval"]["monitor_every"],
        )

    def train(self, trainer: Trainer, learner: MetaLearner, datamodule: EpisodeDataModule) -> None:
        """Fit, from `ckpt_path` on if there is one, and keep the checkpoint of the last iteration.

        Raises:
            Stopped: a signal asked to; the checkpoint of the last iteration is written.
        """
        (saver,) = (c for c in trainer.checkpoint_callbacks if isinstance(c, SaveCheckpoints))
        try:
            trainer.fit(learner, datamodule, ckpt_path=self.config["ckpt_path"])
            saver.finish(trainer)
        finally:
            stop_signals.defer(False)

    def __enter__(self) -> Self:
        forget_peak_memory()
        self.journal.write()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status = status_of(error)
        lost = LostRankError() if is_lost_rank(error) else None
        reason = " ".join(str(lost or error).split()) or type(error).__name__
        try:
            self.journal.write(status=status, error=reason if status == "failed" else None)
        except Unwritable:
            if error is None:  # else its sentence is told
                raise
        finally:
            if self.wandb:
                self.wandb.close(failed=error is not None)
        if lost:
            raise lost from error


def is_within(path: str | None, folder: Path) -> bool:
    """Tell whether a path lies in a folder."""
    return bool(path) and Path(str(path)).resolve().is_relative_to(folder.resolve())


def status_of(error: BaseException | None) -> str:
    """Name how a run ended: a signal interrupts it, an error makes it fail."""
    if error is None:
        return "finished"
    return "interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"
