import pytest
import torch
from torch import Tensor, nn

from firstorder.network import Network
from firstorder.task import Classification, Episode, Regression
from firstorder.task.base import interval
from firstorder.task.regression import squared_error


def task(x: Tensor, y: Tensor) -> Episode:
    """Return one task whose query set is its support set."""
    one = x[None], y[None], x[None], y[None]
    return Episode(*one, torch.zeros(1, 1, 1, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))


def linear(inputs: int, outputs: int) -> Network:
    return Network(nn.Linear(inputs, outputs))


def test_a_task_that_diverged_is_scored_nan_and_counts_as_chance_or_infinite() -> None:
    network = linear(3, 2)
    phi = torch.full((1, 8), float("nan"))
    labels = torch.tensor([0, 1, 0, 1])
    images, numbers = torch.rand(4, 3), torch.rand(4, 2)
    for scores in (
        Classification().score(network, phi, task(images, labels)),
        Regression().score(network, phi, task(images, numbers)),
    ):
        assert all(values.isnan().all() for values in scores.values())
    assert Classification().score_if_diverged(task(images, labels)) == 0.5
    assert Regression().score_if_diverged(task(images, numbers)) == float("inf")


def test_the_loss_and_the_score_of_a_regression_average_over_its_outputs() -> None:
    """Errors of 1 and 3 at the two outputs of one example: (1 + 9) / 2."""
    prediction, target = torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2)
    assert squared_error(prediction, target).tolist() == [5.0]
    network = linear(1, 2)
    phi = torch.tensor([[0.0, 0.0, 1.0, 3.0]])  # weights, then biases
    scores = Regression().score(network, phi, task(torch.ones(1, 1), target))
    assert scores["mse"].tolist() == [5.0]


def test_an_objective_is_larger_where_a_score_is_better() -> None:
    scores = {"transductive": torch.tensor([1.0, 0.5]), "non_transductive": torch.zeros(2)}
    assert Classification().objective(scores) == 0.75
    assert Regression().objective({"mse": torch.tensor([2.0, 4.0])}) == -3.0


def test_the_interval_is_1_96_standard_errors_over_tasks() -> None:
    """Two tasks right, two wrong: deviation sqrt(1/3), error sqrt(1/3)/2."""
    found = interval("accuracy", torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert found == {"accuracy": 0.5, "ci95": pytest.approx(1.96 * (1 / 3) ** 0.5 / 2), "tasks": 4}


@pytest.mark.parametrize("values", [torch.tensor([2.0]), torch.tensor(2.0)])
def test_a_single_task_has_no_interval(values: Tensor) -> None:
    assert interval("mse", values) == {"mse": 2.0, "ci95": 0.0, "tasks": 1}
