"""Glyphs: letters of many scripts, drawn from the fonts that come with matplotlib.

Nothing has to be downloaded, and yet testing is on new classes, since the scripts of the test split
are never seen in training. Of letters that look alike (Latin A, Greek Alpha and Cyrillic A; o and O)
only the first is kept, whatever their splits, so that no shape is in two classes.
"""

import math
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import matplotlib
import numpy as np
import PIL
from PIL import Image, ImageDraw, ImageFont

from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import Pictures
from firstorder.data.images.source import ImageSource

SIZE = 28  # pixels a side
VARIANTS = 20  # of each letter
FACES = 4  # a letter is taken if at least so many typefaces draw it
DIFFERENCE = 0.35  # the least share of their ink in which two letters must differ
SPLITS = {  # scripts by the first word of their letters' Unicode names
    "train": ("LATIN", "GREEK", "CYRILLIC", "COPTIC", "LISU", "CANADIAN", "ARABIC"),
    "val": ("ARMENIAN", "OLD"),  # OLD ITALIC
    "test": ("HEBREW", "GEORGIAN", "LAO"),
}


class Glyphs(ImageSource):
    """Draw tasks from printed letters: 28x28 grey pixels, 255 for the background and 0 for ink.

    A class is one letter in 20 variants, from different typefaces and with small random affine changes.
    """

    name = "glyphs"

    def __init__(self) -> None:
        # No rotated classes: a rotated Canadian syllabic is another one.
        super().__init__(input_shape=(1, SIZE, SIZE))

    def key(self) -> dict[str, object]:
        """Return what decides the pixels: the versions of this drawing, the fonts and the rasteriser."""
        return {"drawing": 1, "fonts": matplotlib.__version__, "rasteriser": PIL.__version__}

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        """Yield the letters, script after script in the order of `SPLITS`."""
        for letter, faces in _distinct(_letters()).items():
            outlines = [_outline(letter, face) for face in faces]
            yield unicodedata.name(letter), partial(_draw, outlines, ord(letter))

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Split by script."""
        return {
            split: [name for name in names if name.split()[0] in scripts]
            for split, scripts in SPLITS.items()
        }


def _letters() -> dict[str, list[Path]]:
    """Return the letters of all scripts in the order of `SPLITS`, each with the fonts that have it."""
    from fontTools.ttLib import TTFont  # slow to import: only where the letters are drawn

    faces = defaultdict(list)
    for path in sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("*.ttf")):
        if path.name.startswith(("DejaVuSans", "DejaVuSerif", "STIXGeneral")):
            for code in TTFont(path, lazy=True).getBestCmap():
                faces[chr(code)].append(path)
    scripts = [script for split in SPLITS.values() for script in split]
    rank = {
        letter: scripts.index(script)
        for letter, paths in faces.items()
        if len(paths) >= FACES
        and unicodedata.category(letter) in ("Lu", "Ll", "Lo")
        and not unicodedata.decomposition(letter)  # a letter with an accent, or a ligature
        and (script := unicodedata.name(letter, "?").split()[0]) in scripts
    }
    return {letter: faces[letter] for letter in sorted(rank, key=lambda x: (rank[x], x))}


def _distinct(letters: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Leave out letters that look like an earlier one."""
    distinct: dict[str, list[Path]] = {}
    inks = np.empty((len(letters), SIZE * SIZE // 4), np.float32)
    for letter, faces in letters.items():
        upright = min(faces, key=lambda face: len(face.stem))  # DejaVuSans, else DejaVuSerif
        fitted = _warp(_outline(letter, upright), np.eye(2), np.zeros(2))
        ink = fitted.reshape(SIZE // 2, 2, SIZE // 2, 2).mean(axis=(1, 3)).ravel()
        others = inks[: len(distinct)]
        difference = np.abs(others - ink).sum(axis=1) / np.maximum(others.sum(axis=1), ink.sum())
        if (difference > DIFFERENCE).all():
            inks[len(distinct)] = ink
            distinct[letter] = faces
    return distinct


@cache
def _font(face: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(face), 64, layout_engine=ImageFont.Layout.BASIC)


def _outline(letter: str, face: Path) -> Image.Image:
    """Draw a letter large, white on black, and crop the picture to it."""
    left, top, right, bottom = _font(face).getbbox(letter)
    picture = Image.new("L", (math.ceil(right - left) + 4, math.ceil(bottom - top) + 4))
    ImageDraw.Draw(picture).text((2 - left, 2 - top), letter, 255, _font(face))
    return picture.crop(picture.getbbox())


def _warp(outline: Image.Image, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Fit an outline into the middle of a 28x28 picture, then map it by `matrix` and `shift`."""
    inverse = np.linalg.inv(matrix) * max(outline.size) / (2 * 0.7 * SIZE)
    corner = np.array(outline.size) / 2 - inverse @ (SIZE + 2 * shift)
    (a, b), (c, d) = inverse
    double = outline.transform(
        (2 * SIZE, 2 * SIZE),
        Image.Transform.AFFINE,
        (a, b, corner[0], c, d, corner[1]),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(double.reduce(2))


def _draw(outlines: list[Image.Image], seed: int) -> Pictures:
    """Draw the variants of a letter: (20, 28, 28, 1)."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(outlines))
    variants = []
    for i in range(VARIANTS):
        angle, shear = np.radians(rng.uniform(-15, 15)), rng.uniform(-0.2, 0.2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        stretch = np.diag(np.exp(rng.uniform(-0.2, 0.1, size=2)))
        matrix = turn @ np.array([[1, shear], [0, 1]]) @ stretch
        outline = outlines[order[i % len(order)]]
        variants.append(255 - _warp(outline, matrix, rng.uniform(-2, 2, size=2)))
    return Pictures(np.stack(variants)[..., None], [])
