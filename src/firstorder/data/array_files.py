"""Read tasks from a folder of .npz files, or from the groups of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from firstorder.data.images.layout import split_folders

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ArrayTask:
    """One task.

    Attributes:
        name: the file, or the group.
        x: inputs, (n, ...) float32, or uint8; one number an example is (n, 1).
        y: targets, (n, outputs) float32 numbers, or (n,) int64 classes.
    """

    name: str
    x: np.ndarray
    y: np.ndarray

    @property
    def size(self) -> int:
        """Examples."""
        return len(self.x)

    def with_classes(self) -> "ArrayTask":
        """Return the task with its targets as classes.

        Raises:
            ValueError: they are not whole numbers from 0 on.
        """
        classes = self.y.astype(np.int64)
        if classes.shape[1] != 1 or (classes != self.y).any() or classes.min() < 0:
            raise ValueError(
                f"y of {self.name} must hold classes: a whole number from 0 an example"
            )
        return replace(self, y=classes[:, 0])


@dataclass(frozen=True)
class HowToRead:
    """Say which columns of a table mean what, and how tasks are split where nothing else says it.

    Attributes:
        group, targets: columns.
        ratios: shares of the splits.
        seed: of the split.
    """

    group: str | None
    targets: tuple[str, ...]
    ratios: tuple[float, ...]
    seed: int


def split_tasks(root: Path, how: HowToRead) -> dict[str, list[ArrayTask]]:
    """Return the tasks of each split; see `firstorder.data.Arrays` for what the files look like.

    Raises:
        ValueError: there are none, or one cannot be used.
    """
    is_table = root.suffix in (".parquet", ".csv") and root.is_file()
    if not is_table and not root.is_dir():
        raise ValueError(
            f"there is no folder, and no .parquet or .csv file, {root}: name that of your tasks,"
            " data.root="
        )
    paths = [root] if is_table else sorted(root.rglob("*.npz"))
    stamps = tuple((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths)
    return _read(root, how, stamps)


@lru_cache(maxsize=1)  # a config is composed, checked and built: each of them asks for the shapes
def _read(root: Path, how: HowToRead, stamps: tuple[object, ...]) -> dict[str, list[ArrayTask]]:
    if root.is_file():
        return split_table(root, how)
    if folders := split_folders(root):
        found = {split: [read_task(p) for p in files(folder)] for split, folder in folders.items()}
        return {split: found.get(split, []) for split in SPLITS}
    read = {path.name: read_task(path) for path in files(root)}
    names = split_at_random(list(read), how)
    return {split: [read[name] for name in names[split]] for split in SPLITS}


def files(folder: Path) -> list[Path]:
    """List the .npz files of a folder.

    Raises:
        ValueError: there are none.
    """
    found = sorted(folder.glob("*.npz"))
    if not found:
        raise ValueError(f"{folder} holds no .npz files: one a task, with arrays x and y")
    return found


def read_task(path: Path) -> ArrayTask:
    """Read one task.

    Raises:
        ValueError: the file cannot be read, or lacks x or y of the same length.
    """
    try:
        with np.load(path) as arrays:
            x, y = arrays["x"], arrays["y"]
    except (OSError, EOFError, BadZipFile, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is no .npz file with arrays x and y of numbers: {error}"
        ) from None
    return task_of(str(path), x, y)


def split_table(path: Path, how: HowToRead) -> dict[str, list[ArrayTask]]:
    """Return the tasks of a table's groups.

    Raises:
        ValueError: it cannot be read, or a column is missing or holds no numbers.
    """
    import pandas as pd  # slow to load: only where there is a table

    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:  # what is no Parquet file is a ValueError of pyarrow's
        raise ValueError(f"{path} cannot be read: {error}") from None
    group, targets = how.group, how.targets
    if group is None or not targets:
        raise ValueError(
            f"{path} is a table: say which column names the task, data.source.group=..., and which"
            " are to be predicted, data.source.targets=[...]"
        )
    for column in (group, *targets):
        if column not in table:
            raise ValueError(f"{path} has no column {column!r}, but {', '.join(table.columns)}")
    inputs = [name for name in table if name not in (group, "split", *targets)]
    for column in (*inputs, *targets):
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise ValueError(
                f"column {column!r} of {path} holds {table[column].dtype}, not numbers"
            )
    if missing := int(table[group].isna().sum()):
        raise ValueError(f"column {group!r} of {path} names no task in {missing} rows: fill it in")
    of = {
        str(name): task_of(
            f"{group} {name} of {path}", rows[inputs].to_numpy(), rows[list(targets)].to_numpy()
        )
        for name, rows in table.groupby(group)
    }
    if "split" in table:
        splits = table.groupby(group)["split"].unique()
        for name, values in splits.items():
            if len(values) != 1 or values[0] not in SPLITS:
                raise ValueError(
                    f"{group} {name} of {path} has split {', '.join(map(str, values))}: one of"
                    f" {', '.join(SPLITS)}"
                )
        return {s: [of[str(n)] for n, v in splits.items() if v[0] == s] for s in SPLITS}
    names = split_at_random(list(of), how)
    return {split: [of[name] for name in names[split]] for split in SPLITS}


def task_of(name: str, x: np.ndarray, y: np.ndarray) -> ArrayTask:
    """Make a task of arrays as somebody has stored them.

    Raises:
        ValueError: they are not numbers, not finite, or not of one length.
    """
    for letter, array in (("x", x), ("y", y)):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{letter} of {name} holds {array.dtype}, not numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{letter} of {name} holds numbers that are missing or not finite")
    if x.ndim < 1 or len(x) != len(y) or not len(x):
        raise ValueError(f"x and y of {name} must hold as many examples, not {len(x)} and {len(y)}")
    y = y.astype(np.float32).reshape(len(y), -1)
    x = x[:, None] if x.ndim == 1 else x
    return ArrayTask(name, x if x.dtype == np.uint8 else x.astype(np.float32), y)


def split_at_random(names: Sequence[str], how: HowToRead) -> dict[str, list[str]]:
    """Deal names out to the splits by shares, the same for the same names and seed."""
    order = np.random.default_rng(how.seed).permutation(sorted(names)).tolist()
    ends = np.rint(np.cumsum([0, *how.ratios]) / sum(how.ratios) * len(order)).astype(int)
    return {s: sorted(order[ends[i] : ends[i + 1]]) for i, s in enumerate(SPLITS)}
