"""Random subsets, drawn fast enough to be no part of a task's cost."""

import numpy as np


def sample_without_replacement(
    rng: np.random.Generator, counts: np.ndarray, size: int
) -> np.ndarray:
    """Draw `size` different numbers out of 0..count-1, for each count.

    These are the first `size` steps of a Fisher-Yates shuffle of the list 0..count-1; a dictionary
    holds the few entries that the shuffle has moved, so the list itself is never built. For the small
    draws of a task this is ten times faster than `rng.choice(replace=False)`.

    Args:
        rng: the source of randomness.
        counts: (n,) sizes of the sets to draw from, each at least `size`.
        size: how many numbers to draw from each.

    Returns:
        (n, size) int64.
    """
    drawn = []
    for count, row in zip(counts.tolist(), rng.random((len(counts), size)).tolist(), strict=True):
        moved: dict[int, int] = {}
        for i, uniform in enumerate(row):
            j = i + int(uniform * (count - i))
            drawn.append(moved.get(j, j))
            moved[j] = moved.get(i, i)
    return np.array(drawn).reshape(len(counts), size)
