"""Copies of mini-ImageNet made of image files, and ImageNet's own archive, which it is taken from."""

import csv
import logging
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from firstorder.data.images import wnids
from firstorder.data.images.archive import ADVICE, MAX_ENTRY, refuse_outside, refuse_web_page
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import Pictures, Target, read_files, read_pictures

logger = logging.getLogger(__name__)

CSVS = tuple(f"{split}.csv" for split in wnids.SPLITS)
TRAINING_TAR = "ILSVRC2012_img_train.tar"


class Copy(NamedTuple):
    """Describe a copy on disk.

    Attributes:
        place: its file or folder.
        files: files and folders whose size or time changes when the copy is changed.
        read: yields each class's wnid and a function that reads its images.
    """

    place: Path
    files: list[Path]
    read: Callable[[Target], Iterator[tuple[str, ReadClass]]]


def find_csvs(folder: Path) -> Copy | None:
    """Find Ravi and Larochelle's `train.csv`, `val.csv`, `test.csv` beside a folder `images`."""
    images, lists = folder / "images", [folder / name for name in CSVS]
    if not (images.is_dir() and all(path.is_file() for path in lists)):
        return None

    def read(target: Target) -> Iterator[tuple[str, ReadClass]]:
        for wnid, names in read_csvs(folder).items():
            yield wnid, partial(read_files, [images / name for name in names], target)

    return Copy(images, [images, *lists], read)


def find_folders(folder: Path) -> Copy | None:
    """Find a folder for each class, in the folders `train`, `val` and `test` or side by side.

    Images may have any size. The 1000 class folders of ImageNet's training set serve as well.
    """
    places = [*(folder / split for split in wnids.SPLITS), folder]
    class_folders: dict[str, Path] = {}
    for wnid in wnids.WNIDS:
        candidates = [place / wnid for place in places if (place / wnid).is_dir()]
        if candidates:
            class_folders[wnid] = max(candidates, key=lambda path: sum(1 for _ in path.iterdir()))
    if not class_folders:
        return None

    def read(target: Target) -> Iterator[tuple[str, ReadClass]]:
        wanted = read_csvs(folder)
        for wnid in wnids.WNIDS:
            if wnid not in class_folders:
                raise ValueError(f"{folder} has no folder for the class {wnid} of mini-ImageNet")
            images = class_folders[wnid]
            names = [path.name for path in images.iterdir() if path.name[0] != "."]
            chosen = choose_images(wnid, names, wanted.get(wnid))
            yield wnid, partial(read_files, [images / name for name in chosen], target)

    return Copy(folder, list(class_folders.values()), read)


def find_training_tar(folder: Path) -> Copy | None:
    """Find ImageNet's training archive, a tar that holds a tar for each class."""
    path = folder / TRAINING_TAR
    if not path.is_file():
        return None

    def read(target: Target) -> Iterator[tuple[str, ReadClass]]:
        wanted = read_csvs(folder)
        refuse_web_page(path)
        try:
            with tarfile.open(path, "r:") as tar:
                members = {member.name.removesuffix(".tar"): member for member in tar}
        except tarfile.TarError as error:
            raise ValueError(f"{path} is no sound tar archive ({error}): {ADVICE}") from None
        for wnid in wnids.WNIDS:
            if wnid not in members:
                raise ValueError(f"{path} lacks {wnid}.tar: it is another archive, or truncated")
            yield wnid, partial(_read_tar, path, members[wnid], wnid, wanted.get(wnid), target)

    return Copy(path, [path], read)


def read_csvs(folder: Path) -> dict[str, list[str]]:
    """Return the file names that the three lists give for each class; nothing without the lists.

    Raises:
        ValueError: a list is not of the form "filename,label", or has another split's classes.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for split, labels in wnids.SPLITS.items():
        path = folder / f"{split}.csv"
        if path.is_file():
            refuse_web_page(path)
            with path.open(newline="", encoding="utf-8", errors="replace") as file:
                rows = csv.DictReader(file)
                if not {"filename", "label"} <= set(rows.fieldnames or ()):
                    raise ValueError(f"{path} must begin with the line filename,label")
                for row in rows:
                    if row["label"] not in labels:
                        raise ValueError(
                            f"{path} has {row['label']}, which is not a {split} class of "
                            "mini-ImageNet's split by Ravi and Larochelle"
                        )
                    names[row["label"]].append(row["filename"])
    return {wnid: names[wnid] for wnid in wnids.WNIDS if wnid in names}


def choose_images(wnid: str, names: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Choose a class's 600 images out of all those of ImageNet.

    The lists of Ravi and Larochelle name images such as n0153282900000005.jpg: the fifth of
    n01532829 in the order of ImageNet's numbers, as public tools read it. Without lists the first
    600 are taken.

    Args:
        wnid: the class.
        names: the images that are there.
        wanted: the images that the lists name; None without lists.

    Raises:
        ValueError: there are too few images, or not those that the lists name.
    """
    if len(names) <= wnids.IMAGES and wanted is None:
        return sorted(names)
    ordered = sorted(names, key=lambda name: (int(re.findall(r"\d+", f"0{name}")[-1]), name))
    if wanted is None:
        logger.warning("%s: no %s: taking the first %d images", wnid, ", ".join(CSVS), wnids.IMAGES)
        return ordered[: wnids.IMAGES]
    if set(wanted) <= set(names):
        return list(wanted)
    indices = [int(match[1]) for name in wanted if (match := re.match(rf"{wnid}(\d{{8}})\.", name))]
    if len(indices) < len(wanted) or not 1 <= min(indices) <= max(indices) <= len(ordered):
        raise ValueError(f"{', '.join(CSVS)} name images of {wnid} which are not there")
    return [ordered[index - 1] for index in indices]


def _read_tar(
    path: Path, member: tarfile.TarInfo, wnid: str, wanted: Sequence[str] | None, target: Target
) -> Pictures:
    """Read a class's images from its tar within the tar, in the order in which they lie there."""
    try:
        with (
            tarfile.open(path, "r:") as outer,
            tarfile.open(fileobj=outer.extractfile(member), mode="r:") as tar,
        ):
            images = {image.name: image for image in tar if image.isfile()}
            for name in images:
                refuse_outside(name, path)
            chosen = set(choose_images(wnid, list(images), wanted))
            files = [
                (f"{path}/{member.name}/{name}", partial(_read_member, tar, image))
                for name, image in images.items()
                if name in chosen
            ]
            return read_pictures(files, target)
    except tarfile.TarError as error:
        raise ValueError(f"{member.name} in {path} is damaged ({error}): {ADVICE}") from None


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > MAX_ENTRY:
        raise ValueError(f"{member.name} is larger than {MAX_ENTRY} bytes")
    file = tar.extractfile(member)
    assert file is not None, member.name
    return file.read()
