"""resume=auto: a job started again with the same settings goes on where it stopped, or is done."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from firstorder.json_files import DamagedError, check_content, read_json
from firstorder.results.content import Results
from firstorder.results.neutral import is_inert, settings_of
from firstorder.results.run_folders import RECORD
from firstorder.run.checkpoint import read_checkpoint
from firstorder.run.saving import LAST
from firstorder.run.trainer import CHECKPOINTS
from firstorder.settings import shown

logger = logging.getLogger(__name__)

# Settings that the weights depend on: those that a run goes on with.
TRAINING = (
    "algo.", "model.", "data.ways", "data.train_shots", "data.source.", "seed", "trainer.precision",
    "trainer.matmul",
)  # fmt: skip
# Those of them that nothing can be made of when they change: the checkpoint has no place for it.
FIXED = (
    "algo._target_", "algo.inner_optimizer", "algo.outer_optimizer", "algo.outer_options", "model.",
)  # fmt: skip


def results_of(folder: Path) -> dict[str, Any] | None:
    """Return the results.json of a run folder, None where the run has not finished.

    Raises:
        ValueError: it is damaged.
    """
    try:
        if not (results := read_json(folder / RECORD)):
            return None
        check_content(RECORD, results, Results)
    except DamagedError as error:
        raise ValueError(
            f"{folder}: {error}; delete this file, and resume=auto does the final test again"
        ) from error
    return results


def go_on(cfg: DictConfig) -> dict[str, Any] | None:
    """Return the results of this job where it has finished before; else point it at its checkpoint.

    Raises:
        ValueError: the folder holds a run with other settings, or a checkpoint is named besides.
    """
    if cfg.ckpt_path is not None:
        raise ValueError(
            f"ckpt_path={cfg.ckpt_path} cannot go with resume=auto, which finds the checkpoint itself:"
            " leave one of them out"
        )
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
    if newest := newest_intact(folder / CHECKPOINTS / LAST):
        logger.info("going on from %s", newest)
        cfg.ckpt_path = str(newest)
    return None


def newest_intact(last: Path) -> Path | None:
    """Return the newest checkpoint of a run that can be read, None where it has none.

    What is damaged is said, and put aside: it is no earlier version of what will be written.

    Raises:
        ValueError: none of them can be read.
    """
    kept = sorted(last.parent.glob(f"{last.stem}-*{last.suffix}"), key=age)
    for path in (found := [path for path in (last, *kept) if path.exists()]):
        try:
            read_checkpoint(path)
        except ValueError as error:
            logger.warning("%s; it is put aside as damaged-%s", error, path.name)
            path.replace(path.with_name(f"damaged-{path.name}"))
        else:
            return path
    if found:
        raise ValueError(
            f"no checkpoint in {last.parent} can be read: delete {last.parents[1]} to start anew"
        )
    return None


def age(path: Path) -> int:
    """Return n of last-n.ckpt."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def read_resumable(cfg: DictConfig) -> dict[str, Any]:
    """Load the checkpoint that a training goes on from.

    Raises:
        ValueError: there is none, or the settings of its training were others.
    """
    checkpoint = read_checkpoint(cfg.ckpt_path)
    now: Any = OmegaConf.to_container(cfg, resolve=True)
    wanted = FIXED if cfg.allow_changes else TRAINING
    if difference := first_difference(checkpoint["config"], now, wanted):
        key, then, current = difference
        way = "" if key.startswith(FIXED) else ", or take the change with allow_changes=true"
        raise ValueError(
            f"ckpt_path={cfg.ckpt_path} was written with {key}={shown(then)}, and this run has"
            f" {shown(current)}: resume with the settings of its config.yaml{way}"
        )
    if cfg.resume != "auto" and (done := checkpoint["global_step"]) >= cfg.trainer.max_steps:
        logger.warning(
            "ckpt_path=%s has done %d outer iterations and trainer.max_steps=%d: there is nothing to"
            " train, and it is only tested; raise trainer.max_steps to go on",
            cfg.ckpt_path, done, cfg.trainer.max_steps,
        )  # fmt: skip
    return checkpoint


def first_difference(
    then: Mapping[str, Any], now: Mapping[str, Any], wanted: Iterable[str] = ("",)
) -> tuple[str, Any, Any] | None:
    """Return the first setting that differs between two configs, with both values.

    Args:
        then, now: the configs.
        wanted: what the names of the settings that are compared start with.
    """
    before, after, starts = settings_of(then), settings_of(now), tuple(wanted)
    for key in [*before, *(key for key in after if key not in before)]:
        is_compared = key.startswith(starts) and not is_inert(key)
        if is_compared and before.get(key) != after.get(key):
            return key, before.get(key), after.get(key)
    return None
