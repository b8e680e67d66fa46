"""A user's folders of images as a task, and the answers as a table."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from firstorder.data.images.layout import files_of
from firstorder.figures.answers import MOST, MOST_CLASSES
from firstorder.messages import console
from firstorder.settings import Filename


@dataclass(frozen=True, kw_only=True)
class AdaptSettings:
    """What the command `adapt` is given, besides a checkpoint and changes to the inner loop.

    Attributes:
        support: the folder that holds a folder of images for each class.
        query: the folder of the images to be told apart.
        together: let the query images share batch-norm statistics (the transductive protocol).
    """

    support: Filename
    query: Filename
    together: bool = False


def classes_in(folder: Path) -> dict[str, list[Path]]:
    """Return the images of each class, by the name of its folder.

    Raises:
        ValueError: there is no such folder, or fewer than two classes in it, or none of a class, or a
            file beside their folders.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"support={folder} is not a folder: name one that holds a folder for each class"
        )
    if loose := [path for path in files_of(folder) if path.parent == folder]:
        raise ValueError(
            f"support={folder} holds {loose[0].name} beside the folders of its classes: put it into the"
            " folder of its class, or elsewhere"
        )
    classes = {
        place.name: files_of(place)
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }
    if len(classes) < 2:
        raise ValueError(
            f"support={folder} must hold two folders of images or more, one for each class, and holds"
            f" {len(classes)}"
        )
    for name, paths in classes.items():
        if not paths:
            raise ValueError(f"the folder {folder / name} holds no image: put in one or more")
    return classes


def images_in(folder: Path, key: str) -> list[Path]:
    """Return the images of a folder, sorted by name.

    Raises:
        ValueError: there is no such folder, or no image in it.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        raise ValueError(f"{key}={folder} is not a folder: name one that holds images")
    paths = files_of(folder)
    if not paths:
        raise ValueError(f"{key}={folder} holds no image: put in one or more")
    return paths


def write_csv(
    path: Path, query: Sequence[Path], classes: Sequence[str], probabilities: np.ndarray
) -> None:
    """Write a line an image: its file, the class that is predicted, and the probability of each."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "predicted", *classes])
        for image, row in zip(query, probabilities, strict=True):
            writer.writerow([image, classes[int(row.argmax())], *(f"{value:.6f}" for value in row)])


def show(
    query: Sequence[Path], classes: Sequence[str], probabilities: np.ndarray, folder: Path
) -> None:
    """Print a row an image: its name, the class that is predicted, and how probable that is."""
    table = Table(title=f"{len(query)} images, {len(classes)} classes", box=box.SIMPLE)
    for column in ("image", "predicted", "probability"):
        table.add_column(column, justify="right" if column == "probability" else "left")
    for path, row in zip(query, probabilities, strict=True):
        predicted = classes[int(row.argmax())]
        table.add_row(escape(path.name), escape(predicted), f"{100 * row.max():.1f} %")
    out = console()
    out.print(table, end="")
    out.print(f"predictions.csv and predictions.png are in {folder}", markup=False)
    if len(query) > MOST or len(classes) > MOST_CLASSES:
        out.print(f"the picture has the first {MOST} images and {MOST_CLASSES} classes alone")
