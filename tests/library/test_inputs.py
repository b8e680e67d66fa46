from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from firstorder.library.inputs import InputForm


def test_every_form_of_an_image_gives_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 12, 12), np.uint8)
    form = InputForm((1, 6, 6))
    pictures = [Image.fromarray(one) for one in pixels]
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")
    read = form.read(pixels)
    assert read.shape == (2, 1, 6, 6)
    assert read.dtype == torch.uint8
    assert torch.equal(form.read(pictures), read)
    assert torch.equal(form.read([tmp_path / "0.png", str(tmp_path / "1.png")]), read)
    assert InputForm((3, 6, 6)).read(np.stack([pixels] * 3, -1)).shape == (2, 3, 6, 6)
    assert torch.equal(form.read(read), read)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    form = InputForm((1, 6, 6))
    (tmp_path / "a.png").write_text("no image")
    for given, sentence in (
        ([tmp_path / "a.png"], r"a.png is no sound image"),
        ([tmp_path / "b.png"], r"b.png cannot be read \(No such file"),
        (
            np.zeros((2, 7, 7)),
            r"an input has shape \(7, 7\), and the network was trained on \(1, 6, 6\)",
        ),
    ):
        with pytest.raises(ValueError, match=sentence):
            form.read(given)
    with pytest.raises(ValueError, match="of Pillow's mode CMYK: give it as RGB or L"):
        form.read([Image.new("CMYK", (6, 6))])
    with pytest.raises(ValueError, match="no square images"):
        InputForm((1,)).read([tmp_path / "a.png"])
