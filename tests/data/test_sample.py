from collections import Counter

import numpy as np

from firstorder.data.sample import sample_without_replacement


def test_every_subset_is_drawn_equally_often() -> None:
    rng = np.random.default_rng(0)
    drawn = sample_without_replacement(rng, np.full(12000, 4), 2)
    counts = Counter(map(tuple, drawn.tolist()))
    assert len(counts) == 12  # ordered pairs without repetition
    assert max(abs(count - 1000) for count in counts.values()) < 130  # 4 standard deviations


def test_a_set_can_be_drawn_whole() -> None:
    drawn = sample_without_replacement(np.random.default_rng(0), np.array([3, 5, 9]), 3)
    assert sorted(drawn[0].tolist()) == [0, 1, 2]
    assert (drawn < np.array([[3], [5], [9]])).all()
