import io
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from firstorder.data import Glyphs
from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import Pictures
from firstorder.data.images.source import ImageSource


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test an empty cache of its own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FIRSTORDER_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Glyphs:
    """Return opened glyphs, drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRSTORDER_CACHE", str(tmp_path_factory.mktemp("glyphs")))
        source = Glyphs()
        source.prepare()
    return source


class Patches(ImageSource):
    """Ten classes of different sizes; every image says by its pixels which it is."""

    name = "patches"

    def __init__(self, *, classes: int = 10, images: int = 6, **settings: Any) -> None:
        super().__init__(**settings)
        self.number, self.images = classes, images
        self.decoded: list[str] = []

    def key(self) -> dict[str, object]:
        return {"classes": self.number, "images": self.images}

    def read(self) -> Iterator[tuple[str, ReadClass]]:
        for i in range(self.number):
            yield f"class{i}", partial(self.decode, i)

    def decode(self, i: int) -> Pictures:
        self.decoded.append(f"class{i}")
        images = np.arange(self.images + i % 3, dtype=np.uint8) + 16 * i
        ramp = np.arange(4, dtype=np.uint8)[:, None]
        return Pictures(np.tile(images[:, None, None, None], (1, 4, 4, 1)) + ramp, [])

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return {"train": list(names[:6]), "val": list(names[6:8]), "test": list(names[8:])}


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_omniglot(folder: Path, *, missing: int = 0) -> None:
    """Write zips with the tree of Omniglot's and one pixel of ink an image."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = (("images_background", 30, 964 - missing), ("images_evaluation", 20, 659))
    drawings = [png(np.full((3, 3), i, np.uint8)) for i in range(20)]
    for part, alphabets, characters in parts:
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            for c in range(characters):
                place = f"{part}/Alphabet{c % alphabets:02}_{part[7:9]}/character{c:03}"
                for i, drawing in enumerate(drawings):
                    archive.writestr(f"{place}/{c:04}_{i + 1:02}.png", drawing)
