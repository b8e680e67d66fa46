"""mini-ImageNet: 100 classes of ImageNet, 600 images of each, from any copy in circulation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from firstorder.data.images import wnids
from firstorder.data.images.archive import identity
from firstorder.data.images.augment import AugmentationName
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.copies import Copy, find_csvs, find_folders, find_training_tar
from firstorder.data.images.download import Download
from firstorder.data.images.pickles import find_caches, find_tar
from firstorder.data.images.pictures import Pictures, ResizeFilter, Target, resampling
from firstorder.data.images.source import ImageSource
from firstorder.settings import Filename, Width, checked

CopyName = Literal["csv", "pickle", "tar", "folders", "ilsvrc"]
FINDERS: dict[str, Callable[[Path], Copy | None]] = {
    "csv": find_csvs,
    "pickle": find_caches,
    "tar": find_tar,
    "folders": find_folders,
    "ilsvrc": find_training_tar,
}
URL = "https://zenodo.org/record/7978538/files"
FILES = tuple(f"mini-imagenet-cache-{split}.pkl" for split in ("train", "validation", "test"))
PICKLES = Download(
    title="mini-ImageNet",
    folder="miniimagenet",
    url=URL,
    md5=dict.fromkeys(FILES),
    needs=(
        f"a copy (images/ with train.csv, val.csv and test.csv; {', '.join(FILES)} from {URL}; "
        "mini-imagenet.tar.gz; a folder of images for each class; or ILSVRC2012_img_train.tar "
        "from image-net.org)"
    ),
)


class MiniImageNet(ImageSource):
    """Draw tasks from mini-ImageNet, with the 64/16/20 classes of Ravi and Larochelle (2017).

    The same images make the same data set whatever a copy's format and order, since a class's images
    are sorted by their pixels. Copies differ in which images of ImageNet they hold; the fingerprint
    tells them apart.

    Args:
        root: folder that holds a copy, or a folder `miniimagenet` or `mini-imagenet` with one.
        copy: which copy to take where there are several: "csv" (`images/` and three lists),
            "pickle", "tar" (the pickles in one archive), "folders" (one a class) or "ilsvrc"
            (ImageNet's training tar); None takes the first of them, in this order, that is there.
        image_size: pixels a side, 84 in the paper.
        resize_filter: Pillow filter for larger images; the paper's code used "nearest".
        rotations, augment: as in `ImageSource`.
        skip_bad_images: leave out images that can't be read.
        download: fetch the pickles where `root` has no copy.
        mirror: URL or folder to fetch them from in place of Zenodo.

    Raises:
        ValueError: an unknown copy, filter or augmentation.
    """

    name = "miniimagenet"

    @checked("data.source")
    def __init__(
        self,
        root: Filename,
        *,
        copy: CopyName | None = None,
        image_size: Width = 84,
        resize_filter: ResizeFilter = "nearest",
        rotations: bool = False,
        augment: Sequence[AugmentationName] = (),
        skip_bad_images: bool = False,
        download: bool = True,
        mirror: Filename | None = None,
    ) -> None:
        self.target = Target(image_size, "RGB", resampling(resize_filter))
        super().__init__(
            input_shape=self.target.shape,
            rotations=rotations,
            augment=augment,
            skip_bad_images=skip_bad_images,
        )
        self.root, self.copy, self.download, self.mirror = root, copy, download, mirror

    def key(self) -> dict[str, object]:
        return {**self.target.key(), "files": identity(*self._copy().files)}

    def fetch(self) -> None:
        """Download the three pickles where there is no copy."""
        if self.download and self._find_copy(self._roots()) is None:
            PICKLES.fetch(self.root, self.mirror)

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        copy = self._copy()
        readers = copy.read(self.target)
        for expected in wnids.WNIDS:
            wnid, read = next(readers, ("nothing", None))
            if wnid != expected or read is None:
                raise ValueError(
                    f"{copy.place} is not mini-ImageNet with the split of Ravi and Larochelle: "
                    f"it has {wnid} in place of the class {expected}"
                )
            yield wnid, partial(_read_sorted, read, f"{wnid} of {copy.place}")

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return wnids.SPLITS

    def _copy(self) -> Copy:
        copy = self._find_copy([*self._roots(), PICKLES.cache])
        if copy is None:
            raise ValueError(PICKLES.how_to_get(self.root))
        return copy

    def _roots(self) -> list[Path]:
        root = Path(self.root).expanduser()
        return [root, root / "miniimagenet", root / "mini-imagenet"]

    def _find_copy(self, folders: Sequence[Path]) -> Copy | None:
        """Return the first copy in these folders, in the order of `FINDERS`."""
        finders = [FINDERS[self.copy]] if self.copy else FINDERS.values()
        copies = (find(folder) for find in finders for folder in folders)
        return next((copy for copy in copies if copy is not None), None)


def _read_sorted(read: ReadClass, place: str) -> Pictures:
    """Read a class's 600 images and sort them by their pixels."""
    pixels, bad = read()
    if len(pixels) + len(bad) != wnids.IMAGES:
        raise ValueError(f"{place} has {len(pixels) + len(bad)} images in place of {wnids.IMAGES}")
    order = sorted(range(len(pixels)), key=lambda i: pixels[i].tobytes())
    return Pictures(pixels[order], bad)
