import numpy as np
import pytest

from firstorder.data import Topics


def test_sentences_of_a_class_share_their_own_words_and_splits_share_no_topic() -> None:
    source = Topics(words=100, own=5, common=0.5, length=30)
    seen: dict[str, set[frozenset[int]]] = {"train": set(), "val": set(), "test": set()}
    for split, topics in seen.items():
        for seed in range(10):
            task = source.draw(split, np.random.default_rng(seed), 3, 40, 2)
            assert task.support_x.shape == (120, 30)
            for label in range(3):
                words = task.support_x[task.support_y == label]
                assert 0.4 < (words < 20).mean() < 0.6
                topics.add(frozenset(words[words >= 20].tolist()))
    assert all(len(topic) <= 5 for topics in seen.values() for topic in topics)
    assert not seen["train"] & seen["test"]


def test_a_language_is_its_seed() -> None:
    draws = [
        Topics(language_seed=seed).draw("test", np.random.default_rng(0), 5, 2, 1).support_x
        for seed in (0, 0, 1)
    ]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] != draws[2]).any()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data\.ways=21"):
        Topics().draw("test", np.random.default_rng(0), 21, 1, 1)
    with pytest.raises(ValueError, match=r"data\.source\.own=90"):
        Topics(words=100, own=90)
