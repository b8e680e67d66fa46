"""Learn an initialisation that fine-tunes in a few gradient steps.

    learner = firstorder.load("last.ckpt")
    adapted = learner.adapt(images, labels)
    adapted.predict(more)

What is listed in `__all__` is the public interface. Each name is imported where it is first used, so that
`import firstorder` costs nothing; type checkers read them in `__init__.pyi`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"  # the one place: the package's metadata are read from here

_HOMES = {
    "firstorder.library.adapted": ["Adapted"],
    "firstorder.library.arrays": ["ArraySource"],
    "firstorder.library.learner": ["Learner", "load"],
    "firstorder.library.training": ["evaluate", "train"],
    "firstorder.algo": ["FOMAML", "GradientCombination", "Joint", "MAML", "MetaAlgorithm", "Reptile"],
    "firstorder.algo.anil": ["ANIL"],
    "firstorder.algo.meta_sgd": ["MetaSGD"],
    "firstorder.algo.evaluation": ["EvaluationSettings"],
    "firstorder.data": [
        "CifarFS", "Glyphs", "ImageFolder", "Learn2Learn", "MiniImageNet", "Omniglot", "Sinusoid",
    ],
    "firstorder.model": ["Conv4", "MLP"],
    "firstorder.plugins": ["trust"],
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'firstorder' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
