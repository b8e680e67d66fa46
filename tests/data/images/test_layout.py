from pathlib import Path

import pytest

from firstorder.data.images.layout import IGNORED_FILES, list_classes, read_lists, split_folders


def write(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def test_classes_are_listed_with_their_files_hidden_and_ignored_ones_left_out(
    tmp_path: Path,
) -> None:
    write(tmp_path, "dog/b.png", "dog/more/a.png", "cat/a.png", "cat/.hidden", ".trash/a.png")
    write(tmp_path, *(f"cat/{name}" for name in IGNORED_FILES))
    files = {name: [path.name for path in paths] for name, paths in list_classes(tmp_path)}
    assert files == {"cat": ["a.png"], "dog": ["b.png", "a.png"]}


def test_folders_of_splits_are_known_by_their_names(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/a.png", "valid/emu/a.png", "test/fox/a.png")
    assert list(split_folders(tmp_path)) == ["train", "val", "test"]
    assert [name for name, _ in list_classes(tmp_path)] == ["train/cat", "val/emu", "test/fox"]


def test_a_class_in_two_splits_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/a.png", "train/dog/a.png", "test/cat/a.png")
    with pytest.raises(ValueError, match="the class 'cat' is in two splits"):
        list_classes(tmp_path)


def test_a_class_in_two_lists_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png", "dog/a.png")
    (tmp_path / "train.txt").write_text("cat\ndog\n")
    (tmp_path / "test.txt").write_text("cat\n")
    with pytest.raises(ValueError, match="the class 'cat' is in two splits"):
        read_lists(tmp_path, ["cat", "dog"])


def test_without_lists_there_is_nothing_to_read(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png")
    assert read_lists(tmp_path, ["cat"]) == {}


def test_a_training_split_without_a_test_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/a.png")
    with pytest.raises(ValueError, match="both of the folders train and test, or neither"):
        split_folders(tmp_path)
