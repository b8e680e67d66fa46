"""What all tasks of arrays have in common: the form of their examples, their classes, their digest."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from firstorder.data.array_task import ArrayTask


def check_alike(tasks: Sequence[ArrayTask], root: str) -> ArrayTask:
    """Return the first task, once all have examples of its form.

    Raises:
        ValueError: there are none, or one has other shapes or types.
    """
    if not tasks:
        raise ValueError(f"{root} holds no tasks with data.source.min_examples examples or more")
    first = tasks[0]
    for task in tasks:
        for letter, one, other in (("x", task.x, first.x), ("y", task.y, first.y)):
            if one.shape[1:] != other.shape[1:] or is_bytes(one) != is_bytes(other):
                raise ValueError(
                    f"{letter} of {task.name} holds {one.dtype} of shape {one.shape[1:]} an example, and"
                    f" that of {first.name} {other.dtype} of shape {other.shape[1:]}: make them alike"
                )
    return first


def is_bytes(array: np.ndarray) -> bool:
    """Tell bytes, which networks are given as shares of 255, from numbers."""
    return array.dtype == np.uint8


def number_of_classes(tasks: Sequence[ArrayTask], root: str) -> int:
    """Return the number of classes of all tasks.

    Raises:
        ValueError: one below the highest is in no task.
    """
    present = np.unique(np.concatenate([one.y for one in tasks]))
    if (gaps := present != np.arange(len(present))).any():
        raise ValueError(
            f"no task of {root} has the class {gaps.argmax()}, and there is a class {present[-1]}:"
            " number the classes 0, 1, 2 and so on, the same in every task"
        )
    return len(present)


def digest(tasks: dict[str, list[ArrayTask]]) -> str:
    """Return a hex digest of all tasks in their splits."""
    found = hashlib.sha256()
    for split, each in tasks.items():
        for task in each:
            found.update(f"{split} {Path(task.name).name} {task.x.shape} {task.y.shape}".encode())
            found.update(task.x.tobytes() + task.y.tobytes())
    return found.hexdigest()
