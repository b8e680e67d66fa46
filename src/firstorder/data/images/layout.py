"""How a folder of images says which classes there are and which split each belongs to."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

logger = logging.getLogger(__name__)

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
IGNORED_FILES = ("Thumbs.db", "desktop.ini")  # left by file managers; hidden files are ignored too


def list_classes(root: Path) -> list[tuple[str, list[Path]]]:
    """List the classes below a folder, named "train/cat" or "cat", and the files of each.

    Raises:
        ValueError: there is no such folder, there are no images in it, or a class is in two splits.
    """
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}: name that of your images, data.root=")
    places = split_folders(root) or {"": root}
    classes = [
        (f"{split}/{folder.name}" if split else folder.name, files_of(folder))
        for split, place in places.items()
        for folder in sorted(place.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    ]
    _check_disjoint([name.rsplit("/", 1)[-1] for name, _ in classes])
    if not any(files for _, files in classes):
        raise ValueError(
            f"{root} has no folders of images: put those of each class into a folder of "
            "its own, and name the folder of these with data.root="
        )
    return classes


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folder of each split; nothing where the classes lie side by side.

    Raises:
        ValueError: one of train and test is there, and the other is not.
    """
    folders = {
        split: root / spelling
        for split, spellings in SPLITS.items()
        for spelling in spellings
        if (root / spelling).is_dir()
    }
    if ("train" in folders) != ("test" in folders):
        raise ValueError(f"{root} must hold both of the folders train and test, or neither")
    return folders if "train" in folders else {}


def say_what_lies_beside(root: Path) -> None:
    """Log the images that lie beside the folders of the classes, and so belong to none."""
    suffixes = Image.registered_extensions()
    places = (root, *split_folders(root).values())
    loose = sorted(p for place in places for p in place.iterdir() if p.suffix.lower() in suffixes)
    if loose := [path for path in loose if path.is_file() and not path.name.startswith(".")]:
        logger.warning(
            "left out images that lie in no folder of a class: %s", ", ".join(map(str, loose))
        )


def read_lists(root: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the classes of each split as train.txt, val.txt and test.txt list them, one a line.

    Args:
        root: the folder that holds the lists beside the classes' folders.
        names: the classes that are there; those that no list names are logged.

    Returns:
        {split: classes}; nothing where there are no lists.

    Raises:
        ValueError: a listed class has no folder, or is listed twice.
    """
    paths = {split: root / f"{split}.txt" for split in SPLITS}
    if not any(path.is_file() for path in paths.values()):
        return {}
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    lists = {}
    for split, path in paths.items():
        lines = path.read_text().splitlines() if path.is_file() else []
        lists[split] = [line.strip() for line in lines if line.strip()]
        for name in lists[split]:
            if name not in folders:
                raise ValueError(f"{path} lists {name!r}, which is no folder beside it")
    _check_disjoint([name for listed in lists.values() for name in listed])
    if unlisted := sorted(set(names).difference(*lists.values())):
        logger.warning("left out classes that are in no list: %s", ", ".join(unlisted))
    return lists


def files_of(folder: Path) -> list[Path]:
    """List the files of a class, those in folders within its folder too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [p for p in paths if not p.name.startswith(".") and p.name not in IGNORED_FILES]


def _check_disjoint(names: Sequence[str]) -> None:
    """Make sure that no class is in two splits.

    Raises:
        ValueError: one is.
    """
    if repeated := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(
            f"the class {repeated[0]!r} is in two splits: few-shot learning is tested on classes that "
            "training has not seen, so put each class into one"
        )
