"""Import learn2learn without gym and torchvision, which only its `__init__` needs."""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType

INSTALL = "pip install --no-deps --use-pep517 -r requirements/learn2learn.txt"


def import_learn2learn(part: str) -> ModuleType:
    """Import one part of learn2learn, such as "algorithms.maml" or "data".

    learn2learn's `__init__` loads every part at once, and with them gym and torchvision. Here the
    package is registered without running its `__init__`, and a part is loaded when it is first used:
    after this call, `import learn2learn as l2l` and `l2l.data.MetaDataset` work as usual, and only
    `l2l.vision` needs torchvision. A learn2learn that was imported before is left as it is.

    Raises:
        ValueError: learn2learn is not installed.
    """
    if "learn2learn" not in sys.modules:
        spec = find_spec("learn2learn")
        if spec is None:
            raise ValueError(f"learn2learn is not installed: {INSTALL}")
        package = module_from_spec(spec)
        package.__dict__["__getattr__"] = _import_part
        sys.modules["learn2learn"] = package
    return import_module(f"learn2learn.{part}")


def _import_part(name: str) -> ModuleType:
    """Import `learn2learn.<name>` when it is first used: a module's `__getattr__` (PEP 562)."""
    try:
        return import_module(f"learn2learn.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"learn2learn.{name}":
            raise
        raise AttributeError(f"module 'learn2learn' has no part {name!r}") from error
