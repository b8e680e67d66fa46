import numpy as np
import pytest

from benchmarks.classes import deviation_over_classes

TASKS, WAYS, CLASSES = 5000, 5, 50


@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_it_tells_what_classes_do_from_noise(spread: float) -> None:
    rng = np.random.default_rng(0)
    terms = rng.standard_normal(CLASSES)
    terms = spread * (terms - terms.mean()) / terms.std()
    classes = np.stack([rng.choice(CLASSES, WAYS, replace=False) for _ in range(TASKS)])
    scores = 90 + terms[classes].mean(1) + rng.standard_normal(TASKS)
    found = deviation_over_classes(classes + 7, scores, of=100)
    assert found == pytest.approx(
        spread / CLASSES**0.5 * 0.5**0.5, abs=0.03
    )  # half of them are drawn


def test_too_few_tasks_are_refused() -> None:
    with pytest.raises(ValueError, match="6 tasks are too few to explain by 3 classes"):
        deviation_over_classes(np.array([[0, 1], [1, 2], [2, 0]] * 2), np.zeros(6), of=10)
