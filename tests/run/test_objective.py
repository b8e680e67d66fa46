import pytest
import torch

from firstorder.run.objective import test_objective as of_test
from firstorder.run.objective import validation_objective


def test_the_objective_is_the_transductive_accuracy_or_the_error_with_a_minus() -> None:
    accuracies = {"transductive": {"accuracy": 0.75}, "non_transductive": {"accuracy": 0.5}}
    assert of_test(accuracies) == 0.75
    assert of_test({"mse": 2.0, "ci95": 0.1}) == -2.0


def test_the_validations_score_is_found_among_lightnings_metrics() -> None:
    metrics = {"train/loss_before": torch.tensor(3.0), "val/transductive": torch.tensor(0.5)}
    assert validation_objective(metrics) == pytest.approx(0.5)
    assert validation_objective({"val/mse": torch.tensor(2.0)}) == -2.0
    assert validation_objective({"train_tasks/transductive": torch.tensor(0.25)}) == 0.25
    assert validation_objective({"train/loss_before": torch.tensor(3.0)}) is None
