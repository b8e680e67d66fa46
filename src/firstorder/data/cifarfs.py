"""CIFAR-FS: the 100 classes of CIFAR-100, 600 images of each, split for few-shot learning."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

from firstorder.data.images.archive import ADVICE, group_images, identity, open_zip, read_images
from firstorder.data.images.augment import AugmentationName
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.download import Download
from firstorder.data.images.pictures import ResizeFilter, Target, resampling
from firstorder.data.images.source import ImageSource
from firstorder.settings import Filename, Width, checked

IMAGES = 600  # of each class
ZIP = Download(
    title="CIFAR-FS",
    folder="cifar-fs",
    url="https://zenodo.org/record/7978538/files",
    md5={"cifar100.zip": None},
)
CLASSES = PurePosixPath("cifar100/data")  # in the zip, the folder of the classes' folders
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
        image_size: pixels a side; 84 gives images the shape of mini-ImageNet's, to stand in for them.
        resize_filter: Pillow filter for other sizes than 32.
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
        self.target = Target(image_size, "RGB", resampling(resize_filter))
        super().__init__(input_shape=self.target.shape, rotations=rotations, augment=augment)
        self.root, self.download, self.mirror = root, download, mirror

    def key(self) -> dict[str, object]:
        return {**self.target.key(), "files": identity(*ZIP.find(self.root))}

    def fetch(self) -> None:
        """Download the zip that `root` lacks."""
        if self.download:
            ZIP.fetch(self.root, self.mirror)

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        (path,) = ZIP.find(self.root)
        archive = open_zip(path)
        files = {
            folder.name: files
            for folder, files in group_images(archive).items()
            if folder.parent == CLASSES
        }
        names = [name for split in SPLITS.values() for name in split]
        complete = sum(len(files.get(name, ())) == IMAGES for name in names)
        if complete < len(names) or len(files) > len(names):
            raise ValueError(
                f"{path} is not the archive of CIFAR-FS: it holds {complete} of {len(names)} "
                f"classes with {IMAGES} images; {ADVICE}"
            )
        for name in names:
            yield name, partial(read_images, archive, files[name], self.target)

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return SPLITS
