import pickle
from collections.abc import Sequence

import numpy as np
import pytest

from firstorder.data.source import TooFewImages
from tests.data.conftest import Patches


def opened(**settings: object) -> Patches:
    source = Patches(**settings)  # type: ignore[arg-type]
    source.prepare()
    source.setup()
    return source


def test_shapes_and_labels_follow_the_order_of_draw() -> None:
    task = opened().draw("train", np.random.default_rng(0), ways=5, shots=3, query_shots=2)
    assert task.support_x.shape == (15, 1, 4, 4)
    assert task.query_x.shape == (10, 1, 4, 4)
    assert task.support_x.dtype == np.uint8
    assert task.support_y.tolist() == np.repeat(range(5), 3).tolist()
    assert task.query_y.tolist() == np.repeat(range(5), 2).tolist()
    assert task.support_y.dtype == np.int64


def test_images_of_a_label_are_distinct_ones_of_one_class_of_the_split() -> None:
    source = opened()
    for seed in range(200):
        task = source.draw("train", np.random.default_rng(seed), 5, 4, 2)
        support = task.support_x[:, 0, 0, 0].reshape(5, 4)
        query = task.query_x[:, 0, 0, 0].reshape(5, 2)
        images = np.concatenate([support, query], axis=1)
        classes = images // 16
        assert (classes == classes[:, :1]).all()
        assert len(set(classes[:, 0])) == 5
        assert classes.max() < 6
        assert all(len(set(row)) == 6 for row in images.tolist())


def test_a_task_is_a_function_of_the_generator() -> None:
    source = opened()
    first, second, other = (
        source.draw("train", np.random.default_rng(seed), 5, 1, 1) for seed in (3, 3, 4)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_no_query_shots_give_an_empty_query_set() -> None:
    task = opened().draw("test", np.random.default_rng(0), 2, 1, 0)
    assert task.query_x.shape == (0, 1, 4, 4)
    assert task.query_y.shape == (0,)


def test_rotations_quadruple_the_training_classes_alone() -> None:
    assert opened(rotations=True).classes == {"train": 24, "val": 2, "test": 2}
    assert opened().classes == {"train": 6, "val": 2, "test": 2}


def test_rotated_classes_are_the_classes_turned() -> None:
    source = opened(rotations=True)
    seen = set()
    for seed in range(100):
        task = source.draw("train", np.random.default_rng(seed), 5, 1, 0)
        for image in task.support_x[:, 0]:
            value = image.min()
            upright = np.tile(value + np.arange(4), (4, 1))
            turns = [k for k in range(4) if np.array_equal(np.rot90(upright, k), image)]
            assert len(turns) == 1
            seen.add((value // 16, turns[0]))
    assert len(seen) == 24


def test_too_many_ways_are_refused_with_their_key_and_the_number_of_classes() -> None:
    with pytest.raises(ValueError, match=r"data.ways=3 .* the 2 in the test split of patches"):
        opened().draw("test", np.random.default_rng(0), 3, 1, 1)


def test_a_pickled_source_maps_the_cache_again() -> None:
    source = opened()
    pickled = pickle.dumps(source)
    assert len(pickled) < 5000
    task = pickle.loads(pickled).draw("train", np.random.default_rng(1), 5, 1, 1)
    assert np.array_equal(
        task.support_x, source.draw("train", np.random.default_rng(1), 5, 1, 1).support_x
    )


def test_too_many_shots_are_refused_with_the_number_of_images() -> None:
    with pytest.raises(TooFewImages, match=r"takes 7 support and 1 query .* of patches has [67]$"):
        opened().draw("train", np.random.default_rng(0), 2, 7, 1)


def test_the_shape_of_the_images_is_stated_before_they_are_read_or_known_after() -> None:
    assert Patches(input_shape=(1, 4, 4)).input_shape == (1, 4, 4)
    assert Patches().input_shape is None
    assert opened().input_shape == (1, 4, 4)
    with pytest.raises(ValueError, match=r"patches has images of \(1, 4, 4\), not of \(3, 4, 4\)"):
        opened(input_shape=(3, 4, 4))


class TwoSplits(Patches):
    """Patches without validation classes."""

    def split(self, names: Sequence[str]) -> dict[str, list[str]]:
        return {"train": list(names[:6]), "test": list(names[6:])}


def test_validation_classes_are_taken_from_the_end_of_the_training_classes() -> None:
    plain, carved = TwoSplits(), TwoSplits(validation_classes=2, rotations=True)
    for source in (plain, carved):
        source.prepare()
    assert plain.classes == {"train": 6, "val": 0, "test": 4}
    assert carved.classes == {"train": 4 * 4, "val": 2, "test": 4}
    task = carved.draw("val", np.random.default_rng(0), 2, 1, 0)
    assert set(task.support_x.min(axis=(1, 2, 3)) // 16) == {4, 5}


def test_validation_classes_that_cannot_be_taken_are_refused() -> None:
    with pytest.raises(ValueError, match=r"validation_classes=6 leaves none of the 6 training"):
        TwoSplits(validation_classes=6).prepare()
    with pytest.raises(ValueError, match=r"cannot go with patches's own 2 validation classes"):
        opened(validation_classes=2)
