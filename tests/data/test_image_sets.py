from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstorder.data.density import Density
from firstorder.data.fields import Fields
from firstorder.data.glyphs import Glyphs
from firstorder.data.image_sets import TasksOfImages


@pytest.mark.parametrize("kind", [Density, Fields])
def test_tasks_of_images_have_the_identity_of_their_images(kind: type[TasksOfImages]) -> None:
    tasks, glyphs = kind("glyphs"), Glyphs()
    for source in (tasks, glyphs):
        source.prepare()
        source.setup()
    assert tasks.fingerprint == glyphs.fingerprint
    assert tasks.classes == glyphs.classes
    assert tasks.shape == glyphs.input_shape


def test_options_of_another_data_set_are_refused_with_their_key() -> None:
    with pytest.raises(ValueError, match=r"data.source.options=.*data.source.images=glyphs.*sides"):
        Fields("glyphs", options={"sides": 3})


def test_tasks_that_are_evaluated_are_of_images_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "abcdefgh":
        (tmp_path / name).mkdir()
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(
            tmp_path / name / "1.png"
        )
    options = {"image_size": 8, "channels": 1, "augment": ["flip"]}
    tasks = Fields("imagefolder", root=str(tmp_path), options=options)
    tasks.prepare()
    tasks.setup()
    plain = tasks.unaugmented()
    values = {
        plain.draw("train", np.random.default_rng(i), 1, 4, 64).query_y.tobytes() for i in range(40)
    }
    assert len(values) == tasks.classes["train"]
    turned = {
        tasks.draw("train", np.random.default_rng(i), 1, 4, 64).query_y.tobytes() for i in range(40)
    }
    assert len(turned) > len(values)
