"""The sheet of a user's images and what they are taken for."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstorder.figures import answers


def test_a_sheet_of_many_images_has_the_first_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST", 9)
    monkeypatch.setattr(answers, "MOST_CLASSES", 2)
    path = tmp_path / "one.png"
    Image.new("L", (4, 4)).save(path)
    support = {f"class {number}": [path] for number in range(5)}
    figure = answers.draw_answers(support, [path] * 20, np.full((20, 5), 0.2))
    assert sum(len(axes.images) for axes in figure.axes) == 2 + 9
    assert len(figure.axes) == (2 + 2) * answers.ACROSS
