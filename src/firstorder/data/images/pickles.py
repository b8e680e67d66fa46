"""mini-ImageNet's pickles, read without running code that a pickle from the internet may hold."""

import io
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from firstorder.data.images.archive import ADVICE, refuse_web_page
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.copies import Copy
from firstorder.data.images.pictures import Pictures, Target

SPELLINGS = {"train": ["train"], "val": ["val", "validation"], "test": ["test"]}
TAR = "mini-imagenet.tar.gz"
HARMLESS = {
    ("_codecs", "encode"),
    ("builtins", "list"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))
    ),
}  # the only names that a pickled dict of arrays and lists refers to


class ChunkedReader(io.RawIOBase):
    """Read a member of a tar in chunks of at most 1 MiB.

    The tar's own reader holds what it is asked for twice in memory, and a pickle asks for a whole
    array of gigabytes at once.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self.file.read(min(len(buffer), 1 << 20))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class HarmlessUnpickler(pickle.Unpickler):
    """Unpickle arrays, dicts, lists and strings, and refuse whatever could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which could run code")
        return super().find_class(module, name)


def find_caches(folder: Path) -> Copy | None:
    """Find the pickles `mini-imagenet-cache-{train,val,test}.pkl`, "val" also as "validation".

    Raises:
        ValueError: there are some of them, not all.
    """
    paths: dict[str, Path | None] = {}
    for split, spellings in SPELLINGS.items():
        names = [f"mini-imagenet-cache-{spelling}.pkl" for spelling in spellings]
        paths[split] = next((folder / name for name in names if (folder / name).is_file()), None)
    present = [path for path in paths.values() if path]
    if 0 < len(present) < len(paths):
        missing = ", ".join(split for split, path in paths.items() if not path)
        raise ValueError(f"{folder} lacks mini-imagenet-cache-*.pkl of {missing}")
    return Copy(folder, present, partial(_read_caches, present)) if present else None


def find_tar(folder: Path) -> Copy | None:
    """Find the three pickles in one `mini-imagenet.tar.gz`."""
    path = folder / TAR
    return Copy(path, [path], partial(_read_tar, path)) if path.is_file() else None


def load(file: IO[bytes], name: str) -> tuple[np.ndarray, dict[str, list[int]]]:
    """Return the images (n, H, W, 3) uint8 of a cache, and the indices of each class.

    Raises:
        ValueError: it is damaged, dangerous, or holds something else.
    """
    try:
        content = HarmlessUnpickler(file, encoding="bytes").load()
    except (pickle.UnpicklingError, EOFError, OSError, zlib.error, ValueError, TypeError) as error:
        raise ValueError(f"{name} is no sound pickle ({error}): {ADVICE}") from None
    if isinstance(content, dict):
        content = {_text(key): value for key, value in content.items()}
        images, classes = content.get("image_data"), content.get("class_dict")
        if isinstance(images, np.ndarray) and isinstance(classes, dict):
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
                raise ValueError(f"{name} holds no colour images of 8 bits: {ADVICE}")
            return images, {_text(wnid): list(indices) for wnid, indices in classes.items()}
    raise ValueError(f"{name} is no mini-ImageNet cache, which is a dict of image_data, class_dict")


def _read_caches(paths: list[Path], target: Target) -> Iterator[tuple[str, ReadClass]]:
    for path in paths:
        refuse_web_page(path)
        with path.open("rb") as file:
            yield from _classes(file, str(path), target)


def _read_tar(path: Path, target: Target) -> Iterator[tuple[str, ReadClass]]:
    refuse_web_page(path)
    try:
        with tarfile.open(path, "r:gz") as tar:
            for spellings in SPELLINGS.values():
                ends = tuple(f"mini-imagenet-cache-{spelling}.pkl" for spelling in spellings)
                member = next((m for m in tar if m.isfile() and m.name.endswith(ends)), None)
                if member is None or (file := tar.extractfile(member)) is None:
                    raise ValueError(f"{path} lacks {ends[0]}: {ADVICE}")
                with io.BufferedReader(ChunkedReader(file)) as chunked:
                    yield from _classes(chunked, f"{member.name} in {path}", target)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is no sound tar.gz archive ({error}): {ADVICE}") from None


def _classes(file: IO[bytes], name: str, target: Target) -> Iterator[tuple[str, ReadClass]]:
    images, classes = load(file, name)
    for wnid in sorted(classes):
        # Indexing copies the class's images, so that the whole pickle can be freed before the next.
        yield wnid, partial(_resized, images[classes[wnid]], target)


def _resized(pixels: np.ndarray, target: Target) -> Pictures:
    size = (target.size, target.size)
    if pixels.shape[1:3] != size:
        images = [Image.fromarray(image).resize(size, target.filter) for image in pixels]
        pixels = np.stack([np.asarray(image) for image in images])
    return Pictures(pixels, [])


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)
