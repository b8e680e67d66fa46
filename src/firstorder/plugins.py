"""Which classes a config may name: those of this package, and of plug-ins that the user trusts.

A plug-in is a module that the user names on the command line, or a package whose installation names one
as an entry point of the group "firstorder.plugins". What a config says, and above all the config that a
checkpoint brings along, is never enough to import a module.
"""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Any

GROUP = "firstorder.plugins"
PARTS = tuple(
    f"firstorder.{part}" for part in ("algo", "analysis", "data", "library.arrays", "model", "task")
)
named: set[str] = set()  # modules that the user has named


def trust(modules: Iterable[str]) -> None:
    """Let configs and checkpoints name what is in these modules, and in packages of these names."""
    named.update(modules)


def trust_overrides(overrides: Iterable[str]) -> None:
    """Trust the modules that a command line names: as plug-ins, as a class, or as a function."""
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        value = value.strip("\"'")
        if key == "plugins":
            trust(name.strip(" \"'") for name in value.strip("[]").split(",") if name.strip())
        elif key.endswith("._target_"):
            trust([value.rpartition(".")[0]])
        elif key.endswith(".factory"):
            trust([value.partition(":")[0]])


@cache
def installed() -> frozenset[str]:
    """Return the modules that installed packages offer as plug-ins."""
    return frozenset(point.module for point in entry_points(group=GROUP))


def is_trusted(name: str) -> bool:
    """Tell whether a module, or what is named with a dot behind it, may be imported."""
    return any(
        f"{name}.".startswith(f"{known}.") for known in (*PARTS, *named, *installed()) if known
    )


def check_function(key: str, path: str) -> None:
    """Check that the module of a function, "package.module:function", is trusted.

    Raises:
        ValueError: it is not; nothing was imported.
    """
    if not is_trusted(module := path.partition(":")[0]):
        raise ValueError(refusal(key, path, module))


def check_plugins(modules: Iterable[str]) -> None:
    """Import the plug-ins of a config.

    Raises:
        ValueError: one was not named on the command line, or cannot be imported.
    """
    for module in modules:
        if module not in named:
            raise ValueError(
                f"plugins=[{module}] stands in a file: name the module on the command line if you trust"
                " it"
            )
        try:
            import_module(module)
        except Exception as error:  # whatever it raises itself
            raise ValueError(f"plugins=[{module}] cannot be imported: {error}") from error


def find_class(key: str, target: Any) -> type:
    """Return the class that a `_target_` names.

    Raises:
        ValueError: it is not one of this package or of a plug-in; nothing was imported then.
    """
    target = str(target)
    if not is_trusted(target):
        raise ValueError(refusal(f"{key}._target_", target, target.rpartition(".")[0]))
    try:
        found = resolve_name(target)
    except Exception as error:  # whatever the import of a module raises
        raise ValueError(f"{key}._target_={target} cannot be imported: {error}") from error
    if not isinstance(found, type):
        raise ValueError(f"{key}._target_={target} is not a class")
    if not is_trusted(found.__module__):  # a trusted module imports others
        raise ValueError(refusal(f"{key}._target_", target, found.__module__))
    return found


def refusal(key: str, value: str, module: str) -> str:
    """Say that a module is not trusted, and how it can be."""
    return (
        f"{key}={value} is neither of firstorder nor of a plug-in: add plugins=[{module}] to the command"
        " if you trust that module"
    )
