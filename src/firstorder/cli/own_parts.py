"""A user's own algorithms, networks and sources: in a package of theirs, with configs of their own.

`--config-dir mine` adds the folder's groups to ours. The classes that its files name as `_target_` get
schemas as ours have them, so that `defaults: [/schema/algo/Mine@_here_]` gives their settings.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from firstorder.cli.schema import schema, store
from firstorder.run.building import class_at

# Group -> the key of what it builds.
GROUPS = {"algo": "algo", "model": "model", "data": "data.source"}


def register_own(arguments: Sequence[str]) -> None:
    """Make modules in the working folder importable, and put own classes' schemas into Hydra's store.

    Raises:
        ValueError: a config names a class that is not trusted, cannot be imported, or is no such part.
    """
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last, so that no file there hides a module of Python's
    for folder in config_dirs(arguments):
        for group, key in GROUPS.items():
            for path in sorted((folder / group).glob("*.yaml")):
                for target in targets(path, key):
                    try:
                        own = class_at(key, target)
                    except ValueError as error:
                        raise ValueError(f"{path}: {error}") from error
                    store(f"schema/{group}", own.__name__, schema(own))


def config_dirs(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the folders that a command line names with --config-dir."""
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=False):  # of none, none
        option, equals, value = argument.partition("=")
        if option in ("--config-dir", "-cd"):
            yield Path(value if equals else after).expanduser()


def targets(path: Path, key: str) -> Iterator[str]:
    """Yield the class, outside of this project, that a config of a group builds."""
    try:
        node = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from None
    for name in key.split(".") if "." in key else ():  # data files are of the package _global_
        node = node.get(name) if isinstance(node, dict) else None
    target = node.get("_target_") if isinstance(node, dict) else None
    if isinstance(target, str) and not target.startswith("firstorder."):
        yield target
