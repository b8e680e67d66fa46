"""Commands: functions of a config, whose user's mistakes end in one sentence."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from firstorder.cli.assembly import register
from firstorder.messages import nearest

CONF = Path(__file__).parents[3] / "conf"
SHOW_TRACE = os.environ.get("HYDRA_FULL_ERROR") == "1"
MISTAKES = (ValueError, HydraException, OmegaConfBaseException, MisconfigurationException)


def entry(config_name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make a function of a config a command, whose user's mistakes end in one sentence.

    HYDRA_FULL_ERROR=1 in the environment shows the stack trace instead.
    """

    def decorate(main: Callable[[DictConfig], None]) -> Callable[[], None]:
        @wraps(main)
        def job(cfg: DictConfig) -> None:
            with answered():
                main(cfg)

        def command() -> None:
            register()
            with answered():
                os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through to here
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(
                    job
                )()

        return command

    return decorate


@contextmanager
def answered() -> Iterator[None]:
    """Turn a mistake of the user into one sentence and a non-zero exit."""
    try:
        yield
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)  # as the shell counts it: the run did not end
    except MISTAKES as error:
        if SHOW_TRACE:
            raise
        sys.exit(f"error: {sentence(error)}")


def sentence(error: BaseException) -> str:
    """Say what is wrong and what would be right, in one line."""
    cause: Any = error
    while cause.__cause__ is not None and isinstance(cause, HydraException):
        cause = cause.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        parent, _, name = str(cause.full_key).rpartition(".")
        known = [key for key in (cause.parent_node or {}) if key != "_target_"]
        return f"there is no setting {cause.full_key}{nearest(name, known, parent)}"
    if isinstance(cause, MissingMandatoryValue):
        return f"{cause.full_key} must be given: add {cause.full_key}=... to the command"
    if isinstance(cause, MissingConfigException) and cause.options is not None:
        group, _, name = str(cause.missing_cfg_file).rpartition("/")
        return f"{group}={name} is not known{nearest(name, cause.options)}"
    if isinstance(cause, OverrideParseException):
        return f"the override {cause.override} cannot be read: write key=value"
    text = " ".join(str(cause).split("full_key:")[0].split())
    return f"{cause.full_key}: {text}" if getattr(cause, "full_key", None) else text


def run_folder(cfg: DictConfig) -> Path:
    """Return this run's folder, the resolved config written into it."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    OmegaConf.save(cfg, folder / "config.yaml", resolve=True)
    return folder
