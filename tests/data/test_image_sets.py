import pytest

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
