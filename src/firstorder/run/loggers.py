"""Weights & Biases: online where an API key is configured and a server answers, else offline."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import WandbLogger

if TYPE_CHECKING:
    import wandb
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds to wait for a first answer; W&B itself would try for minutes


class WeightsAndBiases:
    """A run of Weights & Biases, which goes on where `run_id` names an earlier one.

    It never asks for a login; WANDB_MODE decides where it is set. Each leg of an offline run leaves a
    folder of its own, all with one id, which `wandb sync` uploads into one run.

    Args:
        folder: the run folder.
        settings: project, entity and group.
        tags, job_type, config: as `wandb.init` takes them.
        run_id: id of the run to go on with, None for a new one.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        *,
        tags: list[str],
        job_type: str,
        config: dict[str, Any],
        run_id: str | None = None,
    ) -> None:
        self.folder = folder
        self.run: wandb.Run | None = start(
            dir=str(folder), id=run_id, resume="allow", tags=tags, job_type=job_type,
            config=config, **settings,
        )  # fmt: skip
        if self.run:
            self.run.define_metric("trainer/global_step")
            for prefix in "*", "train/*", "val/*":  # on one axis, whatever else is logged between
                self.run.define_metric(prefix, step_metric="trainer/global_step", step_sync=True)
        self.logger = WandbLogger(experiment=self.run)

    @property
    def run_id(self) -> str | None:
        """The id by which the next leg goes on with this run."""
        return self.run.id if self.run else None

    def add_test(self, test: dict[str, Any], figure: "Figure") -> None:
        """Put the final test and its figure into the run."""
        import wandb

        if self.run:
            self.run.log({"test_episode": wandb.Image(figure)})
            self.run.summary.update({"test": test})

    def close(self, failed: bool) -> None:
        """End the run, whatever happened: the next job of a multirun starts one of its own."""
        if self.run is None:
            return
        offline = self.run.offline
        self.run.finish(exit_code=int(failed))
        if offline:
            legs = self.folder / "wandb" / f"offline-run-*-{self.run.id}"
            print(f"Weights & Biases is offline; upload with: wandb sync {legs}")


@rank_zero_only
def start(**how: Any) -> "wandb.Run":
    """Start a run online, or offline where there is no account or no answer."""
    import wandb

    if not is_offline():
        if (answer := reach_server()) is None:
            try:
                return wandb.init(**how)
            except wandb.errors.CommError as error:
                wandb.teardown()  # the run that failed still holds its id
                answer = " ".join(str(error).split())
        logger.warning(
            "Weights & Biases cannot be reached, so this run is kept offline: %s", answer
        )
    return wandb.init(**how, mode="offline", settings=wandb.Settings(silent=True))


def is_offline() -> bool:
    """Tell whether Weights & Biases should write to disk only."""
    import wandb

    mode = os.environ.get("WANDB_MODE")
    return mode == "offline" if mode else not wandb.login(prompt=False, verify=False)


def reach_server() -> str | None:
    """Return why the server does not answer, None where it does (or none is wanted)."""
    import wandb

    if os.environ.get("WANDB_MODE", "online") != "online":
        return None
    try:
        requests.head(wandb.setup().settings.base_url, timeout=PATIENCE)
    except requests.RequestException as error:
        return type(error).__name__
    return None
