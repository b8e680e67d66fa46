"""mini-ImageNet: 100 classes of ImageNet, 600 images of each, from any copy in circulation."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from firstorder.data.images import fetch, wnids
from firstorder.data.images.archive import identity
from firstorder.data.images.augment import AugmentationName
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.copies import Copy, find_csvs, find_folders, find_training_tar
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


class MiniImageNet(ImageSource):
    """Draw tasks from mini-ImageNet, with the 64/16/20 classes of Ravi and Larochelle (2017).

    Whatever a copy's format and order, the same images make the same data set: a class's images are
    put into the order of their pixels. Copies differ in which images of ImageNet they hold; the
    fingerprint tells them apart.

    Args:
        root: folder that holds a copy, or a folder `miniimagenet` or `mini-imagenet` with one.
        copy: which copy to take where there are several: "csv" (`images/` and three lists),
            "pickle", "tar" (the pickles in one archive), "folders" (one a class) or "ilsvrc"
            (ImageNet's training tar); the first found in this order if None.
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
        super().__init__(rotations=rotations, augment=augment, skip_bad_images=skip_bad_images)
        self.root, self.copy, self.download, self.mirror = root, copy, download, mirror
        self.target = Target(image_size, "RGB", resampling(resize_filter))

    def key(self) -> dict[str, object]:
        return {**self.target.key(), "files": identity(*self._copy().files)}

    def fetch(self) -> None:
        """Download the three pickles where there is no copy."""
        if not self.download or self._find(self._roots()) is not None:
            return
        for file in FILES:
            try:
                fetch.fetch(
                    fetch.Remote(file, None, (URL,)), fetch.downloads(self.name), self.mirror
                )
            except ValueError as error:
                raise ValueError(f"{self._how_to_get()} ({error})") from None

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
            yield wnid, partial(_in_order, read, f"{wnid} of {copy.place}")

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return wnids.SPLITS

    def _roots(self) -> list[Path]:
        root = Path(self.root).expanduser()
        return [root / folder for folder in ("", "miniimagenet", "mini-imagenet")]

    def _find(self, folders: Sequence[Path]) -> Copy | None:
        finders = [FINDERS[self.copy]] if self.copy else FINDERS.values()
        found = (find(folder) for find in finders for folder in folders)
        return next((copy for copy in found if copy is not None), None)

    def _copy(self) -> Copy:
        copy = self._find([*self._roots(), fetch.downloads(self.name)])
        if copy is None:
            raise ValueError(self._how_to_get())
        return copy

    def _how_to_get(self) -> str:
        return (
            f"mini-ImageNet is neither in {Path(self.root).expanduser()} nor in its folder "
            "miniimagenet/: put a copy there (images/ with train.csv, val.csv and test.csv; "
            f"{', '.join(FILES)} from {URL}; mini-imagenet.tar.gz; a folder of images for each "
            "class; or ILSVRC2012_img_train.tar from image-net.org), or name its folder with "
            "data.root= or FIRSTORDER_DATA"
        )


def _in_order(read: ReadClass, place: str) -> Pictures:
    """Read a class's 600 images and sort them by their pixels."""
    pixels, bad = read()
    if len(pixels) + len(bad) != wnids.IMAGES:
        raise ValueError(f"{place} has {len(pixels) + len(bad)} images in place of {wnids.IMAGES}")
    order = sorted(range(len(pixels)), key=lambda i: pixels[i].tobytes())
    return Pictures(pixels[order], bad)
