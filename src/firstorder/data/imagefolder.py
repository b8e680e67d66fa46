"""Your own images: one folder a class."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from annotated_types import Len

from firstorder.data.images.augment import AugmentationName
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.layout import (
    SPLITS,
    list_classes,
    read_lists,
    say_what_lies_beside,
    split_folders,
)
from firstorder.data.images.pictures import ResizeFilter, Target, read_files, resampling
from firstorder.data.images.source import ImageSource
from firstorder.settings import Count, CountOrZero, Filename, NonNegative, Seed, Width, checked


class ImageFolder(ImageSource):
    """Draw tasks from a folder of images: PNG, JPEG or WebP of any size, grey or in colour.

    Either `root` holds the folders `train`, `test` and perhaps `val`, each with a folder of images
    for each class; or it holds the folders of all classes, which are split by lists of their names
    in `train.txt`, `val.txt`, `test.txt` beside them, or, without lists, at random by `ratios`.

    Args:
        root: the folder that holds all this.
        image_size: pixels a side; images of other shapes are squashed.
        channels: 3 for colour, 1 for grey.
        resize_filter: Pillow filter for other sizes.
        ratios: shares of the classes for training, validation and test.
        split_seed: seed of the random split, and of the choice of `validation_classes`.
        validation_classes: how many training classes, drawn at random, to validate on instead, where
            neither folders nor lists name validation classes.
        min_images: leave out classes with fewer images, which else are an error where tasks ask
            for more.
        skip_bad_images: leave out files that can't be used, which else stop the preparation.
        rotations, augment: as in `ImageSource`.

    Raises:
        ValueError: an unknown filter or augmentation, or channels or ratios that are impossible.
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
        validation_classes: CountOrZero = 0,
        min_images: Count = 1,
        skip_bad_images: bool = False,
        rotations: bool = False,
        augment: Sequence[AugmentationName] = (),
    ) -> None:
        if abs(sum(ratios) - 1) > 1e-6:
            raise ValueError(f"data.source.ratios={list(ratios)} must add up to 1")
        mode = "RGB" if channels == 3 else "L"
        self.target = Target(image_size, mode, resampling(resize_filter), strict=True)
        super().__init__(
            input_shape=self.target.shape,
            rotations=rotations,
            augment=augment,
            validation_classes=validation_classes,
            min_images=min_images,
            skip_bad_images=skip_bad_images,
        )
        self.root, self.ratios, self.split_seed = Path(root).expanduser(), ratios, split_seed

    def key(self) -> dict[str, object]:
        files = [
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for _, paths in list_classes(self.root)
            for path in paths
        ]
        return {**self.target.key(), "files": hashlib.sha256(repr(files).encode()).hexdigest()}

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        for name, paths in list_classes(self.root):
            yield name, partial(read_files, paths, self.target)

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        say_what_lies_beside(self.root)
        if split_folders(self.root):
            parts = {split: [n for n in names if n.split("/")[0] == split] for split in SPLITS}
        else:
            parts = read_lists(self.root, names) or self._split_at_random(names)
        if self.validation_classes:  # which are the last ones
            parts["train"] = self._shuffled(parts["train"])
        return parts

    def _split_at_random(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Split the shuffled classes by `ratios`."""
        shuffled = self._shuffled(names)
        ends = [round(len(names) * share) for share in np.cumsum(self.ratios)]
        parts = zip([0, *ends], ends, strict=False)
        return {split: shuffled[a:b] for split, (a, b) in zip(SPLITS, parts, strict=True)}

    def _shuffled(self, names: Sequence[str]) -> list[str]:
        order = np.random.default_rng(self.split_seed).permutation(len(names))
        return [names[i] for i in order]
