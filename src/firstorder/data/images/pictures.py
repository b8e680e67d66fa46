"""Images as arrays of pixels, decoded from the bytes of image files."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps
from PIL.Image import Resampling

from firstorder.messages import one_of

ResizeFilter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
MAX_PIXELS = 80_000_000  # a larger image is taken for a decompression bomb
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


class Pictures(NamedTuple):
    """The decoded images of one class.

    Attributes:
        pixels: (n, H, W, C) uint8.
        bad: the images that could not be read, "path reason" each.
    """

    pixels: np.ndarray
    bad: list[str]


class Target(NamedTuple):
    """Describe the form that all images of a data set are brought to.

    Attributes:
        size: pixels a side; images of other shapes are squashed.
        mode: "L" for grey, "RGB" for colour.
        filter: how they are resized, see `resampling`.
        strict: for a user's own images: refuse what is likely a mistake, such as CMYK, or a suffix of
            another format than the content's; and turn photos upright as their EXIF data says.
    """

    size: int
    mode: str
    filter: Resampling
    strict: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (len(self.mode), self.size, self.size)

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
    """Read the images of a class from files."""
    return read_pictures(((str(path), path.read_bytes) for path in paths), target)


def read_pictures(files: Iterable[tuple[str, Callable[[], bytes]]], target: Target) -> Pictures:
    """Read the images of a class from (path, function that returns the file's bytes)."""
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
    """Decode one image.

    Returns:
        (size, size, 1 or 3) uint8.

    Raises:
        ValueError: it can't be used; the sentence says why.
    """
    if not data:
        raise ValueError(f"{path} is empty")
    if target.strict and PurePath(path).suffix.lower() not in FORMATS:
        raise ValueError(f"{path} is not named {', '.join(FORMATS)}")
    try:
        picture: Image.Image = Image.open(io.BytesIO(data))
        if problem := _header_problem(picture, data, path, target.strict):
            raise ValueError(f"{path} {problem}")
        picture.load()
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is no sound image ({_shortened(error)})") from None
    if target.strict:
        picture = ImageOps.exif_transpose(picture)
    picture = picture.convert(target.mode)
    if picture.size != (target.size, target.size):
        picture = picture.resize((target.size, target.size), target.filter)
    return np.asarray(picture).reshape(target.size, target.size, len(target.mode))


def _header_problem(picture: Image.Image, data: bytes, path: str, strict: bool) -> str | None:
    """Say what is wrong with an image as far as its header tells, or return None."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        return f"is too large ({width} x {height} pixels)"
    if getattr(picture, "n_frames", 1) > 1:
        return "is animated"
    depth = data[24] if picture.format == "PNG" else 8  # Pillow silently reduces PNGs to 8 bits
    if depth > 8 or picture.mode.startswith(("I", "F")):
        return "has more than 8 bits a channel"
    if strict and picture.mode == "CMYK":
        return "is in CMYK, not RGB or grey"
    if strict and picture.format != FORMATS[PurePath(path).suffix.lower()]:
        return f"holds a {picture.format} image under another suffix"
    return None


def _shortened(error: Exception) -> str:
    """Say in a few words what Pillow complains about."""
    if "cannot identify" in str(error):
        return "of no known format"
    return str(error).split(",", 1)[0].strip() or type(error).__name__
