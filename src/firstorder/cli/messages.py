"""What a user is told of an error: one sentence with the setting, and what would be right."""

import re
from errno import EDQUOT, ENOSPC
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
)

from firstorder.folders import cache_root
from firstorder.messages import nearest

# How OmegaConf says, while a config is composed, that a value has not the type of its setting.
CONVERSIONS = {
    r"Value '(.*)' of type '\w+' could not be converted to Integer": r"=\1 must be a whole number",
    r"Value '(.*)' of type '\w+' could not be converted to Float": r"=\1 must be a number",
    r"Cannot convert '\w+' to string: '(.*)'": r"=\1 must be text",
    r"Value '(.*)' is not a valid bool": r"=\1 must be true or false",
    r".* is not Optional": "=null must be given",
    r"Cannot assign \w+ to Dict": " must be a mapping, {name: value}",
    r".* is not a ListConfig, list or tuple": " must be a list",
    r"Cannot merge DictConfig with ListConfig": (  # whichever of them was given
        " is a list where a mapping is wanted, or a mapping for a list: write {name: value} or [value]"
    ),
}
# Parts of Hydra's that come with an extra of this package.
EXTRAS = {
    "hydra/sweeper=optuna": "sweep",
    "hydra/launcher=submitit_local": "sweep", "hydra/launcher=submitit_slurm": "sweep",
    "hydra/launcher=ray": "ray",
}  # fmt: skip
# The same, of a setting in a file of the configs that what was chosen beside it does not have.
NOT_THERE = re.compile(r"In '(.*)/(.*)': ConfigKeyError .* Key '(.*)' not in '(.*)Config'")
FULL = (ENOSPC, EDQUOT)  # an error of these may name no file
NO_GROUP = "Config group override must be a string"


def message(error: BaseException) -> str:
    """Say what is wrong and what would be right, in one line."""
    cause: Any = error
    while cause.__cause__ is not None and isinstance(cause, HydraException):
        cause = cause.__cause__
    cause = resolved(cause)
    if isinstance(cause, ConfigAttributeError | ConfigKeyError):
        parent, _, name = str(cause.full_key).rpartition(".")
        known = [key for key in (cause.parent_node or {}) if key != "_target_"]
        return f"there is no setting {cause.full_key}{nearest(name, known, parent)}"
    if isinstance(cause, MissingMandatoryValue):
        return f"{cause.full_key} must be given: add {cause.full_key}=... to the command"
    if isinstance(cause, MissingConfigException):
        group, _, name = str(cause.missing_cfg_file).rpartition("/")
        if extra := EXTRAS.get(f"{group}={name}"):
            return f"{group}={name} is not installed: pip install -e '.[{extra}]'"
        if cause.options is not None:
            return f"{group}={name} is not known{nearest(name, cause.options)}"
    if isinstance(cause, OverrideParseException):
        return f"the override {cause.override} cannot be read: write key=value"
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"{cause.filename}: {cause.strerror}"
    if isinstance(cause, OSError) and cause.errno in FULL:
        return (
            f"{cause.strerror}: make room on the disk of the run folder (hydra.run.dir=...) or of the"
            f" caches, {cache_root()}"
        )
    text = " ".join(str(cause).split("full_key:")[0].split())
    if found := NOT_THERE.match(text):
        group, name, setting, chosen = found.groups()
        return (
            f"{group}={name} sets {setting}, which {chosen} does not have: leave {group}={name} out"
        )
    key = getattr(cause, "full_key", None)
    for pattern, said in CONVERSIONS.items():
        if key and (matched := re.match(pattern, text)):
            return f"{key}{matched.expand(said)}"
    if text.startswith(NO_GROUP):
        return (
            "a group such as algo, data, model or logger cannot be null: name one, as in logger=csv"
        )
    return f"{key}: {text}" if key else text


def resolved(error: BaseException) -> Any:
    """Return what a reference such as `${source:inputs,1}` has raised that names its settings itself."""
    origin: BaseException | None = error
    while isinstance(origin, InterpolationResolutionError):
        origin = origin.__context__
    return origin if isinstance(origin, ValueError | OSError) else error
