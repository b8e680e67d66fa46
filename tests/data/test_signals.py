import numpy as np
import pytest

from firstorder.data import Signals


def test_a_signal_is_band_limited_and_stays_in_its_range() -> None:
    waves = 4
    for seed in range(20):
        task = Signals(waves=waves).draw("test", np.random.default_rng(seed), 1, 50, 101)
        y = task.query_y[:, 0]
        assert 0 <= y.min() < y.max() <= 1
        x = np.pi * np.arange(1, waves + 1) * task.query_x
        basis = np.hstack([np.ones_like(task.query_x), np.sin(x), np.cos(x)])
        weights, *_ = np.linalg.lstsq(basis, y, rcond=None)
        np.testing.assert_allclose(basis @ weights, y, atol=1e-4)


def test_support_and_query_points_are_of_one_signal() -> None:
    first, second = (
        Signals().draw("test", np.random.default_rng(1), 1, 20, queries) for queries in (11, 101)
    )
    np.testing.assert_allclose(first.support_y, second.support_y)
    np.testing.assert_allclose(first.query_y, second.query_y[::10], atol=1e-6)


def test_more_ways_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"set data\.ways=1"):
        Signals().draw("train", np.random.default_rng(0), 5, 10, 0)
