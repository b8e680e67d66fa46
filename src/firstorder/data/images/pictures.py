"""Pictures: from the bytes of image files to arrays of pixels, the bad ones told by name."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling

from firstorder.messages import one_of

ResizeFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
MAX_PIXELS = 80_000_000  # a larger picture is taken for a decompression bomb
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


class Pictures(NamedTuple):
    """Hold the pictures of one class.

    Attributes:
        pixels: (n, H, W, C) uint8.
        bad: what could not be read, "path reason" each.
    """

    pixels: np.ndarray
    bad: list[str]


class Target(NamedTuple):
    """Say what pictures are turned into.

    Attributes:
        size: pixels a side; pictures of other shapes are squashed.
        mode: "L" for grey, "RGB" for colour.
        filter: how they are resized, see `resampling`.
        strict: refuse what is rather a mistake in somebody's own pictures: CMYK, and a suffix that
            belies the content; and turn photos upright as their EXIF data says.
    """

    size: int
    mode: str
    filter: Resampling
    strict: bool = False

    def key(self) -> dict[str, object]:
        """Return what decides the pixels, for the key of a cache."""
        return {"size": self.size, "mode": self.mode, "filter": self.filter.name}


def resampling(name: str) -> Resampling:
    """Return Pillow's resize filter of that name.

    Raises:
        ValueError: there is none.
    """
    one_of("data.source.resize_filter", name, [member.name.lower() for member in Resampling])
    return Resampling[name.upper()]


def read_files(paths: Iterable[Path], target: Target) -> Pictures:
    """Read the pictures of a class from files."""
    return read_pictures(((str(path), path.read_bytes) for path in paths), target)


def read_pictures(files: Iterable[tuple[str, Callable[[], bytes]]], target: Target) -> Pictures:
    """Read the pictures of a class from (path, function that gives the file's bytes)."""
    pixels, bad = [], []
    for path, read in files:
        try:
            data = read()
        except OSError as error:
            bad.append(f"{path} cannot be read ({error.strerror})")
            continue
        try:
            pixels.append(decode(data, path, target))
        except ValueError as error:
            bad.append(str(error))
    shape = (len(pixels), target.size, target.size, len(target.mode))
    return Pictures(np.stack(pixels) if pixels else np.empty(shape, np.uint8), bad)


def decode(data: bytes, path: str, target: Target) -> np.ndarray:
    """Decode one picture.

    Returns:
        (size, size, 1 or 3) uint8.

    Raises:
        ValueError: what is wrong with it.
    """
    if not data:
        raise ValueError(f"{path} is empty")
    if target.strict and PurePath(path).suffix.lower() not in FORMATS:
        raise ValueError(f"{path} is not named {', '.join(FORMATS)}")
    try:
        picture: Image.Image = Image.open(io.BytesIO(data))
        if complaint := _complaint(picture, data, path, target.strict):
            raise ValueError(f"{path} {complaint}")
        picture.load()
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no sound image ({_words(error)})") from None
    if target.strict:
        picture = ImageOps.exif_transpose(picture)
    picture = picture.convert(target.mode)
    if picture.size != (target.size, target.size):
        picture = picture.resize((target.size, target.size), target.filter)
    return np.asarray(picture).reshape(target.size, target.size, len(target.mode))


def _complaint(picture: Image.Image, data: bytes, path: str, strict: bool) -> str | None:
    """Say what is wrong with a picture, as far as its header tells."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        return f"is too large ({width} x {height} pixels)"
    if getattr(picture, "n_frames", 1) > 1:
        return "is animated"
    depth = data[24] if picture.format == "PNG" else 8  # Pillow would cut it down without a word
    if depth > 8 or picture.mode.startswith(("I", "F")):
        return "has more than 8 bits a channel"
    if strict and picture.mode == "CMYK":
        return "is in CMYK, not RGB or grey"
    if strict and picture.format != FORMATS[PurePath(path).suffix.lower()]:
        return f"holds a {picture.format} image under another suffix"
    return None


def _words(error: Exception) -> str:
    if "cannot identify" in str(error):
        return "of no known format"
    return str(error).split(",", 1)[0].strip() or type(error).__name__
