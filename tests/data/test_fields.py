import numpy as np
import pytest
from hydra import compose, initialize_config_dir

import firstorder.cli.resolvers  # noqa: F401 (registers them)
from firstorder.cli.schema import register
from firstorder.data.fields import Fields, pixel_centres
from firstorder.places import CONF


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Fields:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRSTORDER_CACHE", str(tmp_path_factory.mktemp("fields")))
        source = Fields()
        source.prepare()
    return source


def test_coordinates_are_the_centres_of_pixels_row_by_row() -> None:
    """Two rows of four: x at -3/4, -1/4, 1/4, 3/4, y at -1/2 and 1/2, down."""
    grid = pixel_centres(2, 4)
    assert grid[:, 0].tolist() == [-0.75, -0.25, 0.25, 0.75] * 2
    assert grid[:, 1].tolist() == [-0.5] * 4 + [0.5] * 4


def test_evaluation_asks_for_the_whole_image_that_the_support_pixels_are_of(fields: Fields) -> None:
    task = fields.draw("test", np.random.default_rng(0), 1, 100, 784)
    assert task.support_x.shape == (100, 2)
    assert task.query_x.tolist() == fields.grid.tolist()
    image = dict(zip(map(tuple, task.query_x.tolist()), task.query_y[:, 0].tolist(), strict=True))
    seen = [image[tuple(x)] for x in task.support_x.tolist()]
    assert seen == task.support_y[:, 0].tolist()
    assert 0 <= task.query_y.min() < task.query_y.max() <= 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_query_of_all_pixels_is_the_image_row_by_row(fields: Fields, split: str) -> None:
    task = fields.draw(split, np.random.default_rng(0), 1, 784, 784)
    np.testing.assert_array_equal(task.query_x, fields.grid)


def test_a_tail_of_training_holds_other_pixels_than_the_support_set(fields: Fields) -> None:
    task = fields.draw("train", np.random.default_rng(0), 1, 700, 84)
    points = {tuple(x) for x in [*task.support_x.tolist(), *task.query_x.tolist()]}
    assert len(points) == 784


def test_values_are_those_of_an_image_of_the_split(fields: Fields) -> None:
    rng = np.random.default_rng(3)
    (image,), *_ = fields.images.draw("val", np.random.default_rng(3), 1, 1, 0)
    task = fields.draw("val", rng, 1, 1, 784)
    np.testing.assert_allclose(task.query_y.reshape(28, 28), image[0] / 255, atol=1e-6)


def test_what_an_image_cannot_give_is_refused(fields: Fields) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"784 pixels: lower data\.shots"):
        fields.draw("train", rng, 1, 784, 1)
    with pytest.raises(ValueError, match=r"set data\.ways=1"):
        fields.draw("train", rng, 2, 10, 0)
    with pytest.raises(ValueError, match=r"data\.source\.options"):
        Fields("glyphs", options={"image_size": 3})


def test_configs_ask_for_all_pixels_of_an_image_whatever_its_size() -> None:
    register()
    options = ["data=fields", "data.source.options={image_size: 9}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*options, "data.source.images=cifarfs"])
    asked = cfg.data.shots, cfg.data.train_shots, cfg.eval.query_shots, cfg.algo.inner_batch_size
    assert asked == (81,) * 4
