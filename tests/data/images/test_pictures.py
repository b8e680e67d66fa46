import io
import struct
import zlib
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

from firstorder.data.images.pictures import Target, decode, read_pictures, resampling

PIXELS = np.random.default_rng(0).integers(256, size=(9, 12, 3)).astype(np.uint8)
COLOUR = Target(9, "RGB", resampling("nearest"))
STRICT = COLOUR._replace(strict=True)


def encoded(
    pixels: np.ndarray, kind: str = "PNG", mode: str | None = None, **options: Any
) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of(side: int, depth: int) -> bytes:
    """Return a small PNG in RGB whose header promises so many pixels of so many bits."""
    header = struct.pack(">IIBBBBB", side, side, depth, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(7))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def animated(kind: str) -> bytes:
    buffer = io.BytesIO()
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_lossless_pictures_of_the_right_size_are_read_as_they_are(kind: str) -> None:
    square = PIXELS[:, :9]
    assert np.array_equal(decode(encoded(square, kind, lossless=True), "x", COLOUR), square)


def test_other_sizes_are_squashed() -> None:
    expected = np.asarray(Image.fromarray(PIXELS).resize((9, 9), Image.Resampling.NEAREST))
    assert np.array_equal(decode(encoded(PIXELS), "x", COLOUR), expected)


def test_grey_pictures_get_three_equal_channels_and_colour_ones_lose_theirs() -> None:
    grey = PIXELS[:, :9, 0]
    assert (decode(encoded(grey), "x", COLOUR) == grey[..., None]).all()
    assert decode(encoded(PIXELS), "x", COLOUR._replace(mode="L")).shape == (9, 9, 1)


def test_photos_are_turned_upright_where_asked_for() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    data = encoded(PIXELS[:, :9], "JPEG", exif=exif, quality=100)
    plain, turned = (decode(data, "x.jpg", target) for target in (COLOUR, STRICT))
    assert np.array_equal(turned, np.rot90(plain, -1))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "is empty"),
        (b"no picture", "is no sound image"),
        (encoded(PIXELS)[:-300], "is no sound image"),
        (encoded(np.tile(PIXELS, (20, 20, 1)), "JPEG")[:-3000], "is no sound image"),
        (png_of(50_000, depth=8), "is no sound image|is too large"),
        (animated("GIF"), "is animated"),
        (animated("WEBP"), "is animated"),
        (animated("PNG"), "is animated"),
        (encoded(PIXELS[..., 0].astype(np.uint16) * 257), "has more than 8 bits"),
    ],
    ids=["empty", "text", "png cut", "jpeg cut", "bomb", "gif", "webp", "apng", "16 bit"],
)
def test_bad_pictures_are_named_with_what_is_wrong(data: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=rf"folder/x.png ({complaint})"):
        decode(data, "folder/x.png", COLOUR)


def test_damaged_pixels_are_told() -> None:
    data = bytearray(encoded(PIXELS))
    data[200] ^= 255
    with pytest.raises(ValueError, match="is no sound image"):
        decode(bytes(data), "x.png", COLOUR)


def test_cmyk_and_wrong_suffixes_are_refused_where_strict() -> None:
    for data, complaint in (
        (encoded(PIXELS, "JPEG", "CMYK"), r"x.jpg is in CMYK"),
        (encoded(PIXELS), r"x.jpg holds a PNG image under another suffix"),
    ):
        assert decode(data, "x.jpg", COLOUR).shape == (9, 9, 3)
        with pytest.raises(ValueError, match=complaint):
            decode(data, "x.jpg", STRICT)


def test_sixteen_bit_colour_is_refused_before_pillow_cuts_it_down() -> None:
    with pytest.raises(ValueError, match="more than 8 bits"):
        decode(png_of(1, depth=16), "x.png", COLOUR)


def test_good_and_bad_pictures_of_a_class_are_told_apart() -> None:
    contents = {"a.png": encoded(PIXELS), "b.png": b"", "c.png": png_of(50_000, 8)}
    files = [(name, partial(bytes, content)) for name, content in contents.items()]
    pixels, bad = read_pictures(files, COLOUR)
    assert pixels.shape == (1, 9, 9, 3)
    assert [complaint.split()[0] for complaint in bad] == ["b.png", "c.png"]
    assert read_pictures(files[1:], COLOUR).pixels.shape == (0, 9, 9, 3)
