"""One picture: from the bytes of a file to an array of pixels."""

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.Image import Resampling

MAX_PIXELS = 100_000_000  # a larger picture is taken for a decompression bomb


def named(resize_filter: str) -> Resampling:
    """Return Pillow's resize filter of that name.

    Raises:
        ValueError: where there is none.
    """
    names = [member.name.lower() for member in Resampling]
    if resize_filter not in names:
        raise ValueError(
            f"data.source.resize_filter={resize_filter} is unknown: use one of {', '.join(names)}"
        )
    return Resampling[resize_filter.upper()]


def decode(data: bytes, path: str, size: int, mode: str, resize_filter: Resampling) -> np.ndarray:
    """Decode a picture and squash it to a square.

    Args:
        data: the bytes of an image file.
        path: its path, for messages.
        size: pixels a side.
        mode: "L" for grey, "RGB" for colour.
        resize_filter: as `named` gives it.

    Returns:
        (size, size, 1 or 3) uint8.

    Raises:
        ValueError: where the picture can't be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data)).convert(mode)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a readable image ({error})") from error
    if picture.size != (size, size):
        picture = picture.resize((size, size), resize_filter)
    return np.asarray(picture).reshape(size, size, len(mode))
