from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

import firstorder

Draw = Callable[[range, int], tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draw images (n, 1, 6, 6) of classes that are told apart by their bright pixels, and labels."""

    def draw_classes(classes: range, images: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.repeat([f"class {number:02}" for number in classes], images)
        prototypes = np.stack([
            np.random.default_rng(number).integers(0, 2, (1, 6, 6)) * 200 for number in classes
        ])  # fmt: skip
        noise = np.random.default_rng(len(labels)).integers(0, 50, (len(labels), 1, 6, 6))
        return (prototypes.repeat(images, 0) + noise).astype(np.uint8), labels

    return draw_classes


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


@pytest.fixture(scope="session")
def learner(draw: Draw) -> firstorder.Learner:
    """Return a learner of 3-way tasks, a linear classifier."""
    return firstorder.train(
        algo=firstorder.Reptile(
            inner_steps=3, inner_batch_size=6, inner_lr=0.1, inner_optimizer="sgd",
            loss_reduction="mean",
        ),
        source=firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12)),
        model=linear, steps=20, ways=3, progress=False,
        evaluation=firstorder.EvaluationSettings(tasks=10, inner_steps=10, monitor_every=0),
    )  # fmt: skip
