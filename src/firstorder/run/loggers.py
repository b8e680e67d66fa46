"""A run of Weights & Biases: what it is called and given, and how it ends; see docs/wandb.md."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import WandbLogger

from firstorder.run.connection import reach_server, start
from firstorder.run.wandb_content import STEP, adaptation, last_iteration, means, test_table

if TYPE_CHECKING:
    import wandb
    from matplotlib.figure import Figure

LONGEST = 127  # characters of a name or group
ALONG = ("*", "train/*", "val/*", "train_tasks/*", "test_tasks/*", "test/*")  # against iterations


class WeightsAndBiases:
    """A run of Weights & Biases, which goes on where `run_id` names an earlier one.

    It never asks for a login; WANDB_MODE decides where it is set. Each leg of an offline run leaves a
    folder of its own, all with one id, which `wandb sync` uploads into one run.

    Args:
        folder: the run folder.
        settings: project, entity, group and name; what is too long is shortened.
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
        named = {key: shortened(settings.get(key)) for key in ("group", "name")}
        self._given = {
            "dir": str(folder), "resume": "allow", "tags": tags, "job_type": job_type,
            "config": config, **settings, **named,
        }  # fmt: skip
        self.run: wandb.Run | None = None
        self._was_cut_off = False
        self._open(run_id)
        self.logger = WandbLogger(experiment=self.run)

    def _open(self, run_id: str | None) -> None:
        self.run = start(id=run_id, **self._given)
        if self.run:
            self.run.define_metric(STEP)
            for prefix in ALONG:  # on one axis, whatever else is logged between
                self.run.define_metric(prefix, step_metric=STEP, step_sync=True)
            self.run.define_metric("adaptation/*", step_metric="adaptation/inner_step")

    @property
    def run_id(self) -> str | None:
        """The id by which the next leg goes on with this run."""
        return self.run.id if self.run else None

    def describe(self, found: dict[str, Any]) -> None:
        """Add what was found out about a run to its config."""
        if self.run:
            self.run.config.update(found, allow_val_change=True)  # by a leg with newer code

    def go_on_offline(self) -> None:
        """Begin another leg, offline, if the server has gone: tables and artifacts would wait for it."""
        if self.run and not self.run.offline and reach_server():
            self.run.finish()
            self._was_cut_off = True
            self._open(self.run_id)

    def add_test(self, results: dict[str, Any], figures: dict[str, "Figure"]) -> None:
        """Put the final test into the run: means, a table, the adaptation curve, figures.

        Args:
            results: what results.json holds.
            figures: by name.
        """
        import wandb

        self.go_on_offline()
        if self.run is None:
            return
        curve, drawn = adaptation(results["adaptation"])
        for row in curve:
            self.run.log(row)
        named = {"group": self.run.group, "run": self.run.name, "job_type": self.run.job_type}
        self.run.log({
            STEP: last_iteration(results), **means(results["test"]), **drawn,
            "test_table": test_table(results, named),
            **{name: wandb.Image(figure) for name, figure in figures.items()},
        })  # fmt: skip
        self.run.summary.update({"test": results["test"]})

    def add_checkpoint(self, path: Path, results: dict[str, Any]) -> None:
        """Make the checkpoint an artifact; it is not copied: a later sync reads it from `path`."""
        import wandb

        if self.run:
            told = {
                key: results[key] for key in ("algo", "seed", "steps", "data", "commit", "dirty")
            }
            # Where tasks diverged a score may be infinite, which W&B takes as text only.
            metadata = json.loads(json.dumps({**told, "test": results["test"]}), parse_constant=str)
            artifact = wandb.Artifact(f"phi-{self.run.id}", type="model", metadata=metadata)
            artifact.add_file(str(path), policy="immutable", skip_cache=True)
            self.run.log_artifact(artifact, aliases=[f"iteration-{results['steps']}"])

    def close(self, failed: bool) -> None:
        """End the run, whatever happened: the next job of a multirun starts one of its own."""
        if self.run is None:
            return
        offline = self.run.offline
        self.run.finish(exit_code=int(failed))
        if offline:
            kind = "*run" if self._was_cut_off else "offline-run"
            legs = self.folder / "wandb" / f"{kind}-*-{self.run.id}"
            print(f"Weights & Biases is offline; upload with: wandb sync {legs}")


def shortened(name: str | None) -> str | None:
    """Cut a name to what Weights & Biases takes; a digest of the whole keeps it different from others."""
    if name is None or len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - len(digest) - 1]}-{digest}"
