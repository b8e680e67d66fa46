import numpy as np
import pytest

from firstorder import ArraySource
from tests.library.conftest import Draw


def test_a_task_holds_classes_of_its_split_and_no_example_twice(draw: Draw) -> None:
    x, y = draw(range(6), 5)
    order = np.random.default_rng(0).permutation(len(y))
    source = ArraySource(train=(x[order], y[order]), test=draw(range(6, 9), 5))
    of = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    for seed in range(5):
        task = source.draw("train", np.random.default_rng(seed), 3, 2, 3)
        labels = [of[image.tobytes()] for image in task.support_x]
        assert labels[0] == labels[1] != labels[2] == labels[3]
        assert [of[image.tobytes()] for image in task.query_x[:3]] == [labels[0]] * 3
        assert len({image.tobytes() for image in (*task.support_x, *task.query_x)}) == 15
        assert task.support_y.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_mistake_is_named(draw: Draw) -> None:
    x, y = draw(range(4), 5)
    test = draw(range(4, 8), 5)
    for wrong, sentence in (
        ({"train": (x, y), "test": (x, y)}, "'class 00' is in train and in test"),
        ({"train": (x, y[:3]), "test": test}, r"20 examples and labels of shape \(3,\)"),
        ({"train": (x.astype(int), y), "test": test}, "train holds int64"),
        ({"train": (x[..., :3], y), "test": test}, "different shapes"),
        ({"train": (x / np.nan, y), "test": test}, "train holds NaN or infinity"),
        ({"train": (x[:0], y[:0]), "test": test}, "train holds no examples"),
        ({"train": (x, y), "test": None}, r"test must be a pair \(x, y\)"),
    ):
        with pytest.raises(ValueError, match=sentence):
            ArraySource(**wrong)
    source = ArraySource(train=(x, y), test=test)
    with pytest.raises(ValueError, match="train has 4 classes, and a task asks for 5"):
        source.draw("train", np.random.default_rng(0), 5, 1, 1)
    with pytest.raises(ValueError, match="takes 3 support and 3 query examples"):
        source.draw("train", np.random.default_rng(0), 2, 3, 3)
