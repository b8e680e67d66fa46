from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.func import grad

from firstorder.algo import Joint, Reptile
from firstorder.analysis.manifolds import Manifolds, circle_loss
from firstorder.inner_loop import adapt
from firstorder.inner_optimizer import SGD

INNER: dict[str, Any] = {
    "inner_optimizer": "sgd",
    "inner_batch_size": 1,
    "inner_lr": 0.15,
    "outer_lr": 0.5,
}
STUDY = Manifolds(
    algorithms={
        "reptile": Reptile(inner_steps=20, **INNER),
        "joint": Joint(inner_steps=1, **INNER),
    },
    iterations=300,
)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return STUDY.measure()


def test_many_inner_steps_project_onto_the_manifold() -> None:
    """Eq. 44."""
    phi = torch.tensor([-3.0, -0.2], dtype=torch.float64)
    for center, shape in STUDY.tasks:
        reached, _ = adapt(circle_loss, SGD(0.15), phi, (), [(center, shape)] * 300)
        nearest = center + shape[0] * (phi - center) / (phi - center).norm()
        torch.testing.assert_close(reached, nearest)


def test_at_the_two_points_of_theory_the_slopes_vanish() -> None:
    def expected_loss(phi: Tensor) -> Tensor:
        return sum((circle_loss(phi, *task) for task in STUDY.tasks), start=torch.tensor(0.0))

    def squared_distance(phi: Tensor) -> Tensor:
        distances = [(phi - center).norm() - shape[0] for center, shape in STUDY.tasks]
        return torch.stack(distances).square().mean()

    for value, point in (
        (expected_loss, STUDY.least_loss),
        (squared_distance, STUDY.least_distance),
    ):
        slope = grad(value)(torch.tensor(point).double())
        torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-5)


def test_reptile_goes_to_the_point_near_both_manifolds_joint_training_does_not(
    table: pd.DataFrame,
) -> None:
    last = table[table.iteration == STUDY.iterations].set_index("algorithm")[["x", "y"]]
    assert last.loc["reptile"].tolist() == pytest.approx(STUDY.least_distance, abs=0.03)
    assert last.loc["joint"].tolist() == pytest.approx(STUDY.least_loss, abs=0.06)
    assert abs(STUDY.least_distance[1] - STUDY.least_loss[1]) > 0.5


def test_the_figure_has_a_panel_for_each_algorithm(table: pd.DataFrame) -> None:
    assert len(STUDY.draw(table).axes) == 2


def test_circles_that_meet_are_refused() -> None:
    with pytest.raises(ValueError, match=r"analysis.first and analysis.second meet"):
        Manifolds(algorithms={}, first=(0, 1, 2), second=(0, -1, 2))
