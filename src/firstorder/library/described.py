"""Turn an object into the config node (`_target_` and arguments) that would build it again."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe(built: Any) -> dict[str, Any]:
    """Return {"_target_": its class, argument: value, ...}, from attributes that are called so.

    Where an argument has no such attribute, or one that is no plain value, it is {"_target_": ...,
    "_partial_": True}: what a config builds is then its class, its arguments still to be given.
    """
    kind = type(built)
    node: dict[str, Any] = {"_target_": f"{kind.__module__}.{kind.__qualname__}"}
    try:
        values = {name: plain(getattr(built, name)) for name in inspect.signature(kind).parameters}
    except (AttributeError, TypeError):
        return {**node, "_partial_": True}
    return {**node, **values}


def plain(value: Any) -> Any:
    """Return a value as a config holds it.

    Raises:
        TypeError: it cannot.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    raise TypeError(f"{value!r} is no plain value")
