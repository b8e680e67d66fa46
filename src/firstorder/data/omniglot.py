"""Omniglot: 1623 hand-written characters of 50 alphabets, 20 drawings of each."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated
from zipfile import ZipFile

from annotated_types import Ge, Lt

from firstorder.data.images import fetch
from firstorder.data.images.archive import ADVICE, identity, open_zip, read_entry
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import (
    Pictures,
    ResizeFilter,
    Target,
    read_pictures,
    resampling,
)
from firstorder.data.images.source import ImageSource
from firstorder.settings import Filename, Seed, checked

SIZE = 28  # pixels a side
DRAWINGS = 20  # of each character
CHARACTERS = {"images_background.zip": 964, "images_evaluation.zip": 659}
TRAIN = 1200  # characters; the other 423 are for testing
URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python"
MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}


class Omniglot(ImageSource):
    """Draw tasks from Omniglot (Lake et al. 2015), read from its two official zips.

    Pixels are 255 for the background and 0 for ink, as the paper's code has them. The archives are
    judged by their content, so that re-packed ones serve as well.

    Args:
        root: folder that holds the zips, or a folder `omniglot` with them.
        resize_filter: Pillow filter for 105 -> 28 pixels; the paper's code used "nearest".
        rotations: add the training characters turned by 90, 180 and 270 degrees as classes.
        validation_classes: how many of the 1200 training characters to validate on; 0 in the paper.
        split_seed: seed of the shuffle that parts training from test characters.
        download: fetch the zips where `root` lacks them.
        mirror: URL or folder to fetch them from in place of GitHub.

    Raises:
        ValueError: where a setting is impossible.
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
        super().__init__(rotations=rotations)
        self.root, self.download, self.mirror = root, download, mirror
        self.target = Target(SIZE, "L", resampling(resize_filter))
        self.validation_classes, self.split_seed = validation_classes, split_seed

    def key(self) -> dict[str, object]:
        """Return what decides the pixels."""
        return {**self.target.key(), "archives": identity(*self._archives())}

    def fetch(self) -> None:
        """Download the zips that `root` lacks."""
        for file in CHARACTERS:
            if self.download and fetch.find(file, self.root, self.name) is None:
                remote = fetch.Remote(file, MD5[file], (URL,))
                try:
                    fetch.fetch(remote, fetch.downloads(self.name), self.mirror)
                except ValueError as error:
                    how = fetch.how_to_get("Omniglot", list(CHARACTERS), self.root, self.name)
                    raise ValueError(f"{how} ({error})") from None

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        """Yield the characters of both archives, sorted by alphabet, then character."""
        found: dict[str, tuple[ZipFile, list[str]]] = {}
        for path in self._archives():
            archive = open_zip(path)
            for character, files in _characters(archive, path).items():
                found[character] = archive, files
        for character in sorted(found, key=lambda name: name.split("/")):
            yield character, partial(_drawings, *found[character], self.target)

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Shuffle the characters with Python's generator, as the paper's code does."""
        shuffled = list(names)
        random.Random(self.split_seed).shuffle(shuffled)
        cut = TRAIN - self.validation_classes
        return {"train": shuffled[:cut], "val": shuffled[cut:TRAIN], "test": shuffled[TRAIN:]}

    def _archives(self) -> list[Path]:
        found = [fetch.find(file, self.root, self.name) for file in CHARACTERS]
        paths = [path for path in found if path is not None]
        if len(paths) < len(found):
            how = fetch.how_to_get("Omniglot", list(CHARACTERS), self.root, self.name)
            raise ValueError(f"{how}, or let them be fetched with data.source.download=true")
        return paths


def _characters(archive: ZipFile, path: Path) -> dict[str, list[str]]:
    """Group an archive's drawings by character, and make sure that it is the official content."""
    files = defaultdict(list)
    for entry in sorted(archive.namelist()):
        parts = PurePosixPath(entry).parts
        if len(parts) == 4 and parts[3].endswith(".png") and not parts[3].startswith("."):
            files[f"{parts[1]}/{parts[2]}"].append(entry)
    complete = sum(len(drawings) == DRAWINGS for drawings in files.values())
    if len(files) != CHARACTERS[path.name] or complete != len(files):
        raise ValueError(
            f"{path} is not the official one: it holds {complete} characters of {DRAWINGS} "
            f"drawings in place of {CHARACTERS[path.name]}; {ADVICE}"
        )
    return files


def _drawings(archive: ZipFile, files: list[str], target: Target) -> Pictures:
    return read_pictures(((file, partial(read_entry, archive, file)) for file in files), target)
