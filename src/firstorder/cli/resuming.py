"""resume=auto: a job started again with the same settings goes on where it stopped, or is done."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from firstorder.results.neutral import flatten
from firstorder.run.trainer import CHECKPOINTS, LAST

logger = logging.getLogger(__name__)

# Settings that change neither the weights nor the scores.
INERT = (
    "ckpt_path", "resume", "label", "logger", "data.root", "data.mirror", "data.workers",
    "data.source.root", "data.source.mirror", "data.source.download", "eval.batch", "eval.parallel",
    "trainer.progress", "trainer.threads", "trainer.compile", "trainer.log_every",
    "trainer.checkpoint_every", "plugins",
)  # fmt: skip
# Settings that came later, with what runs did before.
LATER = {"algo.inner_state": "flows"}


def results_of(folder: Path) -> dict[str, Any] | None:
    """Return the results.json of a run folder, None where the run has not finished."""
    path = folder / "results.json"
    results: dict[str, Any] | None = json.loads(path.read_text()) if path.exists() else None
    return results


def go_on(cfg: DictConfig) -> dict[str, Any] | None:
    """Return the results of this job where it has finished before; else point it at its checkpoint.

    Raises:
        ValueError: the folder holds a run with other settings.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    results = results_of(folder)
    if results is not None:
        now: Any = OmegaConf.to_container(cfg, resolve=True)
        if difference := first_difference(results["config"], now):
            key, then, current = difference
            raise ValueError(
                f"{folder} holds a finished run with {key}={then}, and this one has {key}={current}:"
                " give this run another folder (hydra.run.dir=...) or delete that one"
            )
        logger.info("finished before; results in %s", folder)
        return results
    last = folder / CHECKPOINTS / LAST
    if last.exists():
        logger.info("going on from %s", last)
        cfg.ckpt_path = str(last)
    return None


def first_difference(
    then: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[str, Any, Any] | None:
    """Return the first setting that differs between two configs, with both values."""
    before, after = dict(flatten(then)), dict(flatten(now))
    for key in [*before, *(key for key in after if key not in before)]:
        if not key.startswith(INERT) and before.get(key, LATER.get(key)) != after.get(key):
            return key, before.get(key), after.get(key)
    return None
