"""Omniglot: 1623 hand-written characters of 50 alphabets, 20 drawings of each."""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated
from zipfile import ZipFile

from annotated_types import Ge, Lt

from firstorder.data.images.archive import ADVICE, group_images, identity, open_zip, read_images
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.download import Download
from firstorder.data.images.pictures import ResizeFilter, Target, resampling
from firstorder.data.images.source import ImageSource
from firstorder.settings import Filename, Seed, checked

SIZE = 28  # pixels a side
DRAWINGS = 20  # of each character
CHARACTERS = {"images_background.zip": 964, "images_evaluation.zip": 659}
TRAIN = 1200  # characters; the other 423 are for testing
ZIPS = Download(
    title="Omniglot",
    folder="omniglot",
    url="https://raw.githubusercontent.com/brendenlake/omniglot/master/python",
    md5={
        "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
        "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
    },
)


class Omniglot(ImageSource):
    """Draw tasks from Omniglot (Lake et al. 2015), read from its two official zips.

    Pixels are 255 for the background and 0 for ink, as the paper's code has them. The archives are
    checked by their content, so that re-packed ones serve as well.

    Args:
        root: folder that holds the zips, or a folder `omniglot` with them.
        resize_filter: Pillow filter for 105 -> 28 pixels; the paper's code used "nearest".
        rotations: add the training characters turned by 90, 180 and 270 degrees as classes.
        validation_classes: how many of the 1200 training characters to validate on instead; 0, as in
            the paper, validates on training characters.
        split_seed: seed of the shuffle that separates training from test characters.
        download: fetch the zips where `root` lacks them.
        mirror: URL or folder to fetch them from in place of GitHub.

    Raises:
        ValueError: an unknown filter, or too many validation classes.
    """

    name = "omniglot"

    @checked("data.source")
    def __init__(
        self,
        root: Filename,
        *,
        resize_filter: ResizeFilter = "nearest",
        rotations: bool = True,
        validation_classes: Annotated[int, Ge(0), Lt(TRAIN)] = 0,
        split_seed: Seed = 0,
        download: bool = True,
        mirror: Filename | None = None,
    ) -> None:
        self.target = Target(SIZE, "L", resampling(resize_filter))
        super().__init__(
            input_shape=self.target.shape,
            rotations=rotations,
            validation_classes=validation_classes,
        )
        self.root, self.download, self.mirror = root, download, mirror
        self.split_seed = split_seed

    def key(self) -> dict[str, object]:
        """Return what decides the pixels."""
        return {**self.target.key(), "archives": identity(*ZIPS.find(self.root))}

    def fetch(self) -> None:
        """Download the zips that `root` lacks."""
        if self.download:
            ZIPS.fetch(self.root, self.mirror)

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        """Yield the characters of both archives, sorted by alphabet, then character."""
        drawings: dict[str, tuple[ZipFile, list[str]]] = {}
        for path in ZIPS.find(self.root):
            archive = open_zip(path)
            for character, files in _characters(archive, path).items():
                drawings[character] = archive, files
        for character in sorted(drawings, key=lambda name: name.split("/")):
            yield character, partial(read_images, *drawings[character], self.target)

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Shuffle the characters with Python's generator, as the paper's code does."""
        shuffled = list(names)
        random.Random(self.split_seed).shuffle(shuffled)
        return {"train": shuffled[:TRAIN], "val": [], "test": shuffled[TRAIN:]}


def _characters(archive: ZipFile, path: Path) -> dict[str, list[str]]:
    """Return an archive's drawings by "alphabet/character", after checking that all are there."""
    characters = {
        "/".join(folder.parts[1:]): files
        for folder, files in group_images(archive).items()
        if len(folder.parts) == 3
    }
    complete = sum(len(drawings) == DRAWINGS for drawings in characters.values())
    if len(characters) != CHARACTERS[path.name] or complete != len(characters):
        raise ValueError(
            f"{path} is not the official one: it holds {complete} characters of {DRAWINGS} "
            f"drawings in place of {CHARACTERS[path.name]}; {ADVICE}"
        )
    return characters
