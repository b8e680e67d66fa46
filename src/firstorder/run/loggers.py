"""Where metrics go: metrics.csv always, Weights & Biases unless it is turned off."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from matplotlib.figure import Figure

from firstorder.data.datamodule import EpisodeDataModule
from firstorder.run.learner import MetaLearner


@dataclass
class Record:
    """Hold a run's loggers, and the line that says how to upload an offline run."""

    loggers: list[Logger]

    def finish(self, test: dict[str, Any], figure: Figure) -> None:
        """Put the final test and its figure into Weights & Biases."""
        import wandb  # slow to import: where a run has begun, and not for --help

        if wandb.run is not None:
            wandb.run.log({"test_episode": wandb.Image(figure)})
            wandb.run.summary.update({"test": test})


@contextmanager
def recording(
    folder: Path,
    learner: MetaLearner,
    datamodule: EpisodeDataModule,
    config: dict[str, Any],
    job_type: str = "train",
) -> Iterator[Record]:
    """Keep a run's loggers open for as long as it lasts.

    Weights & Biases runs online where an API key is configured and offline elsewhere, and never asks
    for a login; WANDB_MODE decides where it is set. It is closed whatever happens, so that the next
    job of a multirun starts a run of its own.

    Args:
        folder: the run folder.
        learner, datamodule: name the algorithm and the data.
        config: the run's settings as plain values; `logger.wandb` is None where it is turned off.
        job_type: "train" or "eval".
    """
    import wandb

    loggers: list[Logger] = [CSVLogger(folder, name="", version="")]
    if settings := config["logger"]["wandb"]:
        tags = [learner.algorithm.name, datamodule.source.name]
        offline = is_offline()
        how: dict[str, Any] = (
            {"mode": "offline", "settings": wandb.Settings(silent=True)} if offline else {}
        )
        logger = WandbLogger(
            save_dir=folder, tags=tags, job_type=job_type, config=config, **how, **settings
        )
        for prefix in "train", "val":  # on one axis, whatever else is logged between
            logger.experiment.define_metric(f"{prefix}/*", step_metric="trainer/global_step")
        loggers.append(logger)
    try:
        yield Record(loggers)
    finally:
        if settings and wandb.run is not None:
            where = Path(wandb.run.dir).parent
            wandb.finish()
            if offline:
                print(f"Weights & Biases is offline; upload with: wandb sync {where}")


def is_offline() -> bool:
    """Tell whether Weights & Biases should write to disk only."""
    import wandb

    mode = os.environ.get("WANDB_MODE")
    return mode == "offline" if mode else not wandb.login(prompt=False, verify=False)
