"""Read tasks from a folder of .npz files, or from a table."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from firstorder.data.array_tables import SUFFIXES, split_table
from firstorder.data.array_task import SPLITS, ArrayTask, HowToRead, split_at_random, task_of
from firstorder.data.images.layout import split_folders


def split_tasks(root: Path, how: HowToRead) -> dict[str, list[ArrayTask]]:
    """Return the tasks of each split; see `firstorder.data.Arrays` for what the files look like.

    Raises:
        ValueError: there are none, or one cannot be used.
    """
    is_table = root.suffix.lower() in SUFFIXES and root.is_file()
    if not is_table and not root.is_dir():
        raise ValueError(
            f"there is no folder, and no .parquet or .csv file, {root}: name that of your tasks,"
            " data.root="
        )
    if not is_table and (how.group is not None or how.targets):
        raise ValueError(
            f"data.source.group and data.source.targets name columns of a table, and {root} is a folder:"
            " leave them out, or name the table, data.root="
        )
    paths = [root] if is_table else files_below(root)
    stamps = tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths)
    return _read(root, how, stamps)


@lru_cache(maxsize=1)  # a config is composed, checked and built: each of them asks for the shapes
def _read(
    root: Path, how: HowToRead, stamps: tuple[tuple[Path, int, int], ...]
) -> dict[str, list[ArrayTask]]:
    if root.is_file():
        return split_table(root, how)
    paths = [path for path, *_ in stamps]
    if folders := split_folders(root):
        placed = files_in(paths, [*folders.values()])
        found = dict(zip(folders, [[*map(read_task, each)] for each in placed], strict=True))
        check_disjoint(found)
        return {split: found.get(split, []) for split in SPLITS}
    read = {path.name: read_task(path) for path in files_in(paths, [root])[0]}
    names = split_at_random(list(read), how)
    return {split: [read[name] for name in names[split]] for split in SPLITS}


def files_below(root: Path) -> list[Path]:
    """List all .npz files of a folder, those in folders that are links too."""
    folders = split_folders(root).values()
    found = {*root.rglob("*"), *(path for folder in folders for path in folder.iterdir())}
    return sorted(path for path in found if path.suffix.lower() == ".npz")


def files_in(paths: Sequence[Path], folders: Sequence[Path]) -> list[list[Path]]:
    """Return those of the files that lie in each folder.

    Raises:
        ValueError: one lies in none of them, or none in one of them.
    """
    for path in paths:
        if path.parent not in folders:
            raise ValueError(
                f"{path} would be passed over: tasks lie in {' and '.join(map(str, folders))}, and not in"
                " folders within or beside; move it there, or away"
            )
    found = [[path for path in paths if path.parent == folder] for folder in folders]
    for folder, files in zip(folders, found, strict=True):
        if not files:
            raise ValueError(f"{folder} holds no .npz files: one a task, with arrays x and y")
    return found


def read_task(path: Path) -> ArrayTask:
    """Read one task.

    Raises:
        ValueError: the file cannot be read, or lacks x or y of the same length.
    """
    try:
        arrays = np.load(path)
        if isinstance(arrays, np.ndarray):
            raise TypeError("it holds one array without a name, as .npy files do")
        with arrays:
            x, y = arrays["x"], arrays["y"]
    except Exception as error:  # a damaged archive has many ways to fail
        raise ValueError(
            f"{path} is no .npz file with arrays x and y of numbers: {error}"
        ) from None
    return task_of(str(path), x, y)


def check_disjoint(found: dict[str, list[ArrayTask]]) -> None:
    """Make sure that no task is in two splits.

    Raises:
        ValueError: one is; the sentence names both files.
    """
    first: dict[str, tuple[str, str]] = {}
    for split, tasks in found.items():
        for task in tasks:
            content = hashlib.sha256(task.x.tobytes() + task.y.tobytes()).hexdigest()
            other, name = first.setdefault(content, (split, task.name))
            if other != split:
                raise ValueError(
                    f"{task.name} holds the same examples as {name}: a test is on tasks that training has"
                    " not seen, so put each into one split"
                )
