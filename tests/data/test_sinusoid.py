import numpy as np
import pytest

from firstorder.data import Sinusoid


def test_a_task_is_a_sine_wave_within_the_published_ranges() -> None:
    for seed in range(50):
        task = Sinusoid().draw("test", np.random.default_rng(seed), 1, 10, 50)
        assert task.support_x.shape == task.support_y.shape == (10, *Sinusoid.input_shape)
        assert np.abs(task.support_x).max() <= 5
        x = task.query_x[:, 0]
        basis = np.stack([np.sin(x), np.cos(x)], 1)  # a sin(x + b) lies in its span
        weights, *_ = np.linalg.lstsq(basis, task.query_y[:, 0], rcond=None)
        np.testing.assert_allclose(basis @ weights, task.query_y[:, 0], atol=1e-5)
        assert 0.1 <= np.hypot(*weights) <= 5


def test_evaluation_asks_at_equally_spaced_points_training_at_random_ones() -> None:
    rng = np.random.default_rng(0)
    grid = Sinusoid().draw("test", rng, 1, 10, 50).query_x[:, 0]
    np.testing.assert_allclose(grid, np.linspace(-5, 5, 50), atol=1e-6)
    assert np.diff(Sinusoid().draw("train", rng, 1, 10, 50).query_x[:, 0]).std() > 0.1


def test_phases_average_to_the_zero_function() -> None:
    """Section 4: the mean over tasks is zero everywhere, so joint training learns nothing."""
    waves = [
        Sinusoid().draw("test", np.random.default_rng(i), 1, 1, 9).query_y for i in range(2000)
    ]
    assert np.abs(np.mean(waves, 0)).max() < 0.2


def test_more_ways_than_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"set data\.ways=1"):
        Sinusoid().draw("train", np.random.default_rng(0), 5, 10, 0)
