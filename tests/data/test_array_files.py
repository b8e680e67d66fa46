"""Every .npz file of a folder is a task of one split, or the folder is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firstorder.data import Arrays


def write(*paths: Path) -> None:
    """Write tasks that differ."""
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, x=np.arange(4.0) + number, y=np.arange(4.0))


def write_splits(folder: Path) -> None:
    write(*(folder / split / "0.npz" for split in ("train", "test")))


def test_every_file_is_a_task_however_its_suffix_is_written(tmp_path: Path) -> None:
    write(*(tmp_path / name for name in ("0.npz", "1.NPZ", "2.npz", "3.Npz")))
    assert sum(Arrays(str(tmp_path)).classes.values()) == 4


def test_the_folder_of_a_split_may_be_a_link(tmp_path: Path) -> None:
    write_splits(tmp_path / "there")
    (tmp_path / "here").mkdir()
    for split in ("train", "test"):
        (tmp_path / "here" / split).symlink_to(tmp_path / "there" / split)
    assert Arrays(str(tmp_path / "here")).classes == {"train": 1, "val": 0, "test": 1}


def beside(folder: Path) -> None:
    write_splits(folder)
    write(folder / "3.npz")


def within(folder: Path) -> None:
    write(folder / "0.npz", folder / "more" / "1.npz")


def in_both(folder: Path) -> None:
    write_splits(folder)
    (folder / "test" / "copy.npz").write_bytes((folder / "train" / "0.npz").read_bytes())


def without_name(folder: Path) -> None:
    with (folder / "0.npz").open("wb") as file:
        np.save(file, np.arange(4.0))


def without_axis(folder: Path) -> None:
    np.savez(folder / "0.npz", x=np.arange(4.0), y=1.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (beside, "3.npz would be passed over: tasks lie in .*train and .*test"),
        (within, "more/1.npz would be passed over"),
        (in_both, "test/copy.npz holds the same examples as .*train/0.npz"),
        (without_name, "0.npz is no .npz file with arrays x and y of numbers: it holds one array"),
        (without_axis, r"y of .*0.npz has the shape \(\)"),
    ],
)
def test_a_folder_whose_files_are_not_one_task_each_is_refused(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(ValueError, match=words):
        Arrays(str(tmp_path))


def test_a_folder_has_no_columns(tmp_path: Path) -> None:
    write(tmp_path / "0.npz")
    with pytest.raises(
        ValueError, match=r"data\.source\.group and data.source.targets name columns"
    ):
        Arrays(str(tmp_path), group="who")
