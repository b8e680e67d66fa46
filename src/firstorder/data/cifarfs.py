"""CIFAR-FS: the 100 classes of CIFAR-100, 600 images of each, split for few-shot learning."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

from firstorder.data.images import fetch
from firstorder.data.images.archive import ADVICE, identity, open_zip, read_entry
from firstorder.data.images.augment import AugmentationName
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import (
    Pictures,
    ResizeFilter,
    Target,
    read_pictures,
    resampling,
)
from firstorder.data.images.source import ImageSource
from firstorder.settings import Filename, Width, checked

FILE = "cifar100.zip"
FOLDER = "cifar-fs"
URL = "https://zenodo.org/record/7978538/files"
IMAGES = 600  # of each class
SPLITS = {
    split: names.split()
    for split, names in {
        "train": """
            apple aquarium_fish bear bee bottle bowl boy bridge bus can castle caterpillar chair
            clock cloud cockroach couch cup dinosaur dolphin elephant forest girl hamster house
            kangaroo keyboard lawn_mower lion lizard lobster mountain mouse mushroom oak_tree orange
            orchid palm_tree pear pine_tree plate porcupine possum rabbit raccoon ray road seal
            shrew skunk skyscraper snake spider squirrel streetcar sunflower tank tiger train trout
            tulip turtle willow_tree wolf
        """,
        "val": """
            beaver beetle butterfly camel cattle crab crocodile flatfish lamp maple_tree motorcycle
            otter sea shark television tractor
        """,
        "test": """
            baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail
            sweet_pepper table telephone wardrobe whale woman worm
        """,
    }.items()
}


class CifarFS(ImageSource):
    """Draw tasks from CIFAR-FS, with the 64/16/20 classes of Bertinetto et al. (2019).

    Args:
        root: folder that holds `cifar100.zip`, or a folder `cifar-fs` with it.
        image_size: pixels a side; 84 gives it the shape of mini-ImageNet, to develop without that.
        resize_filter: Pillow filter to enlarge the 32x32 images with.
        rotations, augment: as in `ImageSource`.
        download: fetch the zip where `root` lacks it.
        mirror: URL or folder to fetch it from in place of Zenodo.

    Raises:
        ValueError: an unknown filter or augmentation.
    """

    name = "cifarfs"

    @checked("data.source")
    def __init__(
        self,
        root: Filename,
        *,
        image_size: Width = 32,
        resize_filter: ResizeFilter = "bilinear",
        rotations: bool = False,
        augment: Sequence[AugmentationName] = (),
        download: bool = True,
        mirror: Filename | None = None,
    ) -> None:
        super().__init__(rotations=rotations, augment=augment)
        self.root, self.download, self.mirror = root, download, mirror
        self.target = Target(image_size, "RGB", resampling(resize_filter))

    def key(self) -> dict[str, object]:
        return {**self.target.key(), "files": identity(self._archive())}

    def fetch(self) -> None:
        """Download the zip that `root` lacks."""
        if self.download and fetch.find(FILE, self.root, FOLDER) is None:
            try:
                fetch.fetch(fetch.Remote(FILE, None, (URL,)), fetch.downloads(FOLDER), self.mirror)
            except ValueError as error:
                raise ValueError(f"{self._how_to_get()} ({error})") from None

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        path = self._archive()
        archive = open_zip(path)
        files = defaultdict(list)
        for entry in sorted(archive.namelist()):
            parts = PurePosixPath(entry).parts
            if parts[:2] == ("cifar100", "data") and entry.endswith(".png"):
                files[parts[2]].append(entry)
        names = [name for split in SPLITS.values() for name in split]
        complete = sum(len(files.get(name, ())) == IMAGES for name in names)
        if complete < len(names) or len(files) > len(names):
            raise ValueError(
                f"{path} is not the archive of CIFAR-FS: it holds {complete} of {len(names)} "
                f"classes with {IMAGES} images; {ADVICE}"
            )
        for name in names:
            yield name, partial(_pictures, archive, files[name], self.target)

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return SPLITS

    def _archive(self) -> Path:
        path = fetch.find(FILE, self.root, FOLDER)
        if path is None:
            raise ValueError(self._how_to_get())
        return path

    def _how_to_get(self) -> str:
        return fetch.how_to_get("CIFAR-FS", [f"{FILE} (from {URL})"], self.root, FOLDER)


def _pictures(archive: ZipFile, files: list[str], target: Target) -> Pictures:
    return read_pictures(((file, partial(read_entry, archive, file)) for file in files), target)
