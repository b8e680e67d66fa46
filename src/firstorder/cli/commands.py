"""Commands: functions of a config that return a score, run by Hydra, their errors told in a sentence."""

import logging
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import firstorder.cli.resolvers  # noqa: F401 (registers them)
from firstorder.cli import sweeps
from firstorder.cli.launch import launch
from firstorder.cli.messages import message
from firstorder.cli.own_parts import register_own
from firstorder.cli.resuming import go_on
from firstorder.cli.schema import register
from firstorder.cli.validation import run_mode, validate
from firstorder.places import CONF
from firstorder.plugins import trust_overrides
from firstorder.run.atomic import replacing
from firstorder.run.ranks import this_rank
from firstorder.signals import stopping

# What the user said: below, Hydra is told something else, which the processes of other ranks inherit.
SHOW_TRACE = (
    os.environ.setdefault("FIRSTORDER_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "")) == "1"
)
USER_ERRORS = (
    ValueError, HydraException, OmegaConfBaseException, MisconfigurationException,
    OSError,  # the disk is full, a folder is not ours
)  # fmt: skip

Job = Callable[[DictConfig], float | None]


def entry(config_name: str) -> Callable[[Job], Callable[[], None]]:
    """Make a job, a function of a config that returns its score or raises, the command of a script.

    Hydra sees what the job returns and raises, so that a sweeper can optimise the one and outlive the
    other. What is left at the end becomes one sentence and a non-zero exit here, outside of Hydra;
    HYDRA_FULL_ERROR=1 in the environment shows the stack trace instead.
    """

    def decorate(main: Job) -> Callable[[], None]:
        @wraps(main)
        def job(cfg: DictConfig) -> float | None:
            trust_overrides(HydraConfig.get().overrides.task)  # a launcher's process has no other
            if this_rank():  # what all ranks would say, the first does
                logging.getLogger().setLevel(logging.WARNING)
            if run_mode() != RunMode.MULTIRUN:
                return attempt(main, cfg)[0]
            sweeps.note("started")
            try:
                score, was_finished = attempt(main, cfg)
            except (Exception, SystemExit) as error:  # the other jobs go on
                if sweeps.ends_all(error):
                    raise
                sweeps.note_failure(error)
                return None
            sweeps.note("skipped" if was_finished else "finished")
            # Optuna's sweeper notes a failed trial where it gets no score, and breaks down on NaN.
            return None if score is None or math.isnan(score) else score

        @wraps(main)
        def command() -> None:
            sys.argv[1:] = overrides_first(sys.argv[1:])
            sweeps.begin()
            logging.raiseExceptions = (
                False  # a full disk is told once, and not by every line of a log
            )
            with report_user_errors():
                launch.join(config_name)
                trust_overrides(sys.argv[1:])
                register()
                register_own(sys.argv[1:])
                os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to here
                with sweeps.table_of_lost_jobs():
                    hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(
                        job
                    )()
            if sweeps.failed_jobs:
                sys.exit(1)

        return command

    return decorate


def attempt(main: Job, cfg: DictConfig) -> tuple[float | None, bool]:
    """Run a job unless resume=auto finds it finished; return its score, and whether it was."""
    try:
        validate(cfg)
        with stopping():
            if cfg.get("resume") == "auto" and (results := go_on(cfg)):
                return results["objective"], True
            return main(cfg), False
    except BaseException:
        leave_no_empty_folder(Path(HydraConfig.get().runtime.output_dir))
        raise


def leave_no_empty_folder(folder: Path) -> None:
    """Remove the folder that Hydra has made for a job, if nothing has been written into it."""
    if folder.resolve() != Path.cwd():
        with suppress(OSError):  # it is not empty
            folder.rmdir()


def overrides_first(arguments: Sequence[str]) -> list[str]:
    """Put the overrides of a command line before its options, which Hydra takes in no other order."""
    is_override = [not a.startswith("-") and ("=" in a or a.startswith("~")) for a in arguments]
    overrides = [a for a, yes in zip(arguments, is_override, strict=True) if yes]
    return overrides + [a for a, yes in zip(arguments, is_override, strict=True) if not yes]


@contextmanager
def report_user_errors() -> Iterator[None]:
    """Turn a user's error into one sentence and a non-zero exit."""
    try:
        yield
    except USER_ERRORS as error:
        if SHOW_TRACE:
            raise
        rank = this_rank()
        sys.exit(f"{f'rank {rank}, ' if rank else ''}error: {message(error)}")


def run_folder(cfg: DictConfig) -> Path:
    """Return this run's folder, the resolved config written into it."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    if this_rank() == 0:
        with replacing(folder / "config.yaml") as file:
            file.write(OmegaConf.to_yaml(cfg, resolve=True).encode())
    return folder
