"""Your own images: one folder a class."""

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Len

from firstorder.data.images.augment import AugmentationName
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import ResizeFilter, Target, read_files, resampling
from firstorder.data.images.source import ImageSource
from firstorder.settings import Count, Filename, NonNegative, Seed, Width, checked

logger = logging.getLogger(__name__)

SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
LITTER = ("Thumbs.db", "desktop.ini")  # left by file managers, as are names with a dot in front


class ImageFolder(ImageSource):
    """Draw tasks from a folder of images: PNG, JPEG or WebP of any size, grey or in colour.

    Either `root` holds the folders `train`, `test` and perhaps `val`, each with a folder of images
    for each class; or it holds the folders of all classes, which are split by lists of their names
    in `train.txt`, `val.txt`, `test.txt` beside them, or, without lists, at random by `ratios`.

    Args:
        root: that folder.
        image_size: pixels a side; images of other shapes are squashed.
        channels: 3 for colour, 1 for grey.
        resize_filter: Pillow filter for other sizes.
        ratios: shares of the classes for training, validation and test.
        split_seed: seed of the random split.
        min_images: leave out classes with fewer images, which else are an error where tasks ask
            for more.
        skip_bad_images: leave out files that can't be used, which else stop the preparation.
        rotations, augment: as in `ImageSource`.

    Raises:
        ValueError: settings that make no sense.
    """

    name = "imagefolder"

    @checked("data.source")
    def __init__(
        self,
        root: Filename,
        *,
        image_size: Width = 84,
        channels: Literal[1, 3] = 3,
        resize_filter: ResizeFilter = "bilinear",
        ratios: Annotated[Sequence[NonNegative], Len(3, 3)] = (0.64, 0.16, 0.2),
        split_seed: Seed = 0,
        min_images: Count = 1,
        skip_bad_images: bool = False,
        rotations: bool = False,
        augment: Sequence[AugmentationName] = (),
    ) -> None:
        super().__init__(
            rotations=rotations,
            augment=augment,
            min_images=min_images,
            skip_bad_images=skip_bad_images,
        )
        if abs(sum(ratios) - 1) > 1e-6:
            raise ValueError(f"data.source.ratios={list(ratios)} must add up to 1")
        self.root, self.ratios, self.split_seed = Path(root).expanduser(), ratios, split_seed
        mode = "RGB" if channels == 3 else "L"
        self.target = Target(image_size, mode, resampling(resize_filter), strict=True)

    def key(self) -> dict[str, object]:
        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for _, paths in self._classes()
            for path in paths
        ]
        return {**self.target.key(), "files": hashlib.sha256(repr(files).encode()).hexdigest()}

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        for name, paths in self._classes():
            yield name, partial(read_files, paths, self.target)

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        if self._split_folders():
            return {split: [n for n in names if n.split("/")[0] == split] for split in SPLITS}
        if any((self.root / f"{split}.txt").is_file() for split in SPLITS):
            return self._listed(names)
        shuffled = [
            names[i] for i in np.random.default_rng(self.split_seed).permutation(len(names))
        ]
        ends = [round(len(names) * share) for share in np.cumsum(self.ratios)]
        parts = zip([0, *ends], ends, strict=False)
        return {split: shuffled[a:b] for split, (a, b) in zip(SPLITS, parts, strict=True)}

    def _listed(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return the classes that the lists name, one a line.

        Raises:
            ValueError: a class of a list is not there.
        """
        paths = {split: self.root / f"{split}.txt" for split in SPLITS}
        texts = {split: path.read_text() if path.is_file() else "" for split, path in paths.items()}
        lists = {
            split: [line.strip() for line in text.splitlines() if line.strip()]
            for split, text in texts.items()
        }
        folders = {name for name, _ in self._classes()}
        for split, listed in lists.items():
            for name in listed:
                if name not in folders:
                    raise ValueError(f"{paths[split]} lists {name!r}, which is no folder beside it")
        _refuse_twins([name for listed in lists.values() for name in listed])
        if unlisted := sorted(set(names).difference(*lists.values())):
            logger.warning("left out classes that are in no list: %s", ", ".join(unlisted))
        return lists

    def _split_folders(self) -> dict[str, Path]:
        """Return the folder of each split; none where there are no such folders.

        Raises:
            ValueError: one of train and test is there, and the other is not.
        """
        found = {
            split: self.root / spelling
            for split, spellings in SPLITS.items()
            for spelling in spellings
            if (self.root / spelling).is_dir()
        }
        if ("train" in found) != ("test" in found):
            raise ValueError(
                f"{self.root} must hold both of the folders train and test, or neither"
            )
        return found if "train" in found else {}

    def _classes(self) -> list[tuple[str, list[Path]]]:
        """List the classes, named "train/cat" or "cat", and their files.

        Raises:
            ValueError: there are none.
        """
        if not self.root.is_dir():
            raise ValueError(
                f"there is no folder {self.root}: name that of your images, data.root="
            )
        places = self._split_folders() or {"": self.root}
        classes = [
            (f"{split}/{folder.name}" if split else folder.name, _files(folder))
            for split, place in places.items()
            for folder in sorted(place.iterdir())
            if folder.is_dir() and not folder.name.startswith(".")
        ]
        _refuse_twins([name.rsplit("/", 1)[-1] for name, _ in classes])
        if not any(files for _, files in classes):
            raise ValueError(
                f"{self.root} has no folders of images: put those of each class into a folder of "
                "its own, and name the folder of these with data.root="
            )
        return classes


def _files(folder: Path) -> list[Path]:
    """List the files of a class, those in folders within its folder too."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in paths if not path.name.startswith(".") and path.name not in LITTER]


def _refuse_twins(names: Sequence[str]) -> None:
    """Make sure that no class is in two splits.

    Raises:
        ValueError: one is.
    """
    if twins := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(
            f"the class {twins[0]!r} is in two splits: few-shot learning is tested on classes that "
            "training has not seen, so put each class into one"
        )
