"""How the outer step size goes from its first value to its last, by name (`algo.outer_schedule`).

A schedule says how much of the last value is in force when a fraction of the outer iterations is
done: epsilon_i = epsilon_first (1 - w) + epsilon_last w, w = schedule(i / N). A further one is one more
function.
"""

import math
from collections.abc import Callable

Schedule = Callable[[float], float]


def linear(done: float) -> float:
    """Fall linearly, as the paper does in all experiments (Appendix A)."""
    return done


def cosine(done: float) -> float:
    """Fall along half a cosine."""
    return (1 - math.cos(math.pi * done)) / 2


def constant(done: float) -> float:
    """Stay at the first value."""
    return 0.0


SCHEDULES: dict[str, Schedule] = {
    schedule.__name__: schedule for schedule in (linear, cosine, constant)
}
