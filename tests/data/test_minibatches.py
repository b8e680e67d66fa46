from collections import Counter

import numpy as np
import pytest

from firstorder.data.minibatches import cycle_minibatches, replacement_minibatches


def test_cycling_runs_through_all_samples_before_it_starts_again() -> None:
    rows = cycle_minibatches(25, 10, 5, np.random.default_rng(0))
    assert rows.shape == (5, 10)
    assert Counter(rows.ravel()[:25]) == Counter(rows.ravel()[25:]) == Counter(range(25))


def test_a_cycled_batch_may_span_two_epochs() -> None:
    """8 batches of 10 out of 75 images: the last one wraps around and may hold an image twice."""
    rows = cycle_minibatches(75, 10, 8, np.random.default_rng(0)).ravel()
    assert sorted(rows[:75]) == list(range(75))
    assert len(set(rows[75:])) == 5


def test_epochs_are_shuffled_anew() -> None:
    rows = cycle_minibatches(50, 50, 2, np.random.default_rng(0))
    assert (rows[0] != rows[1]).any()


def test_sampling_with_replacement_repeats_between_batches_never_inside_one() -> None:
    rows = replacement_minibatches(12, 10, 50, np.random.default_rng(0))
    assert all(len(set(row)) == 10 for row in rows)
    assert len(set(rows.ravel()[:24])) < 24


def test_a_batch_larger_than_its_set_is_refused_with_replacement() -> None:
    with pytest.raises(ValueError, match="inner_batch_size=6 is larger than the 5"):
        replacement_minibatches(5, 6, 1, np.random.default_rng(0))
