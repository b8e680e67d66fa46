"""Build the objects that a config names by `_target_`, at the keys and of the classes allowed."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from firstorder.algo.base import MetaAlgorithm
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.plugins import find_class

# What is built at which key: in words, and how to tell it.
ALGORITHM = ("a meta-algorithm", lambda found: issubclass(found, MetaAlgorithm))
SOURCE = ("a source of tasks", lambda found: hasattr(found, "draw"))
NETWORK = ("a network", lambda found: issubclass(found, nn.Module))
BUILT: dict[str, tuple[str, Callable[[type], bool]]] = {
    "algo": ALGORITHM,
    "analysis.algorithms.*": ALGORITHM,
    "data.source": SOURCE,
    "analysis.source": SOURCE,
    "model": NETWORK,
    "analysis.model": NETWORK,
    "eval": ("the settings of an evaluation", lambda found: issubclass(found, EvaluationSettings)),
    "analysis": ("an analysis", lambda found: hasattr(found, "measure")),
}


def built_at(key: str) -> tuple[str, Callable[[type], bool]] | None:
    """Return what is built at a key, None where nothing is."""
    for pattern, built in BUILT.items():
        if fnmatchcase(key, pattern) and key.count(".") == pattern.count("."):
            return built
    return None


def class_at(key: str, target: Any) -> type:
    """Return the class that the `_target_` at a key names.

    Raises:
        ValueError: nothing is built at that key; or the class is not of the kind that is wanted there, or
            not one that a config may name.
    """
    if (built := built_at(key)) is None:
        raise ValueError(
            f"{key}._target_={target} builds something where only values may stand: leave it out; classes"
            f" are named at {', '.join(BUILT)}"
        )
    words, is_wanted = built
    if not is_wanted(found := find_class(key, target)):
        raise ValueError(f"{key}._target_={target} is not {words}")
    return found


def construct(key: str, value: Any) -> Any:
    """Build the object that plain values describe, and those in it first.

    Raises:
        ValueError: a `_target_` that is refused, or what a class makes of its settings.
    """
    if isinstance(value, list):
        return [construct(f"{key}[{i}]", each) for i, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    target = class_at(key, value["_target_"]) if "_target_" in value else dict
    arguments = {name: each for name, each in value.items() if name != "_target_"}
    return target(**{name: construct(f"{key}.{name}", each) for name, each in arguments.items()})
