import json
from pathlib import Path

import pytest
import torch

from firstorder.run.atomic import write_json
from firstorder.run.record import interval, summary, with_diverged


def test_the_interval_is_1_96_standard_errors_over_tasks() -> None:
    """Two tasks right, two wrong: deviation sqrt(1/3), error sqrt(1/3)/2."""
    found = interval("accuracy", torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert found == {"accuracy": 0.5, "ci95": pytest.approx(1.96 * (1 / 3) ** 0.5 / 2), "tasks": 4}


def test_a_single_task_has_no_interval() -> None:
    assert interval("mse", torch.tensor([2.0])) == {"mse": 2.0, "ci95": 0.0, "tasks": 1}


def test_scores_of_one_task_may_come_without_a_dimension() -> None:
    assert interval("mse", torch.tensor(2.0)) == {"mse": 2.0, "ci95": 0.0, "tasks": 1}


def test_one_infinite_error_makes_mean_and_interval_infinite() -> None:
    found = interval("mse", torch.tensor([1.0, torch.inf]))
    assert found == {"mse": torch.inf, "ci95": torch.inf, "tasks": 2}


def test_tasks_that_diverged_are_counted_beside_the_scores() -> None:
    assert with_diverged({"mse": 1.0}, 2) == {"mse": 1.0, "diverged": 2}
    assert with_diverged({"transductive": {"tasks": 3}}, 0) == {
        "transductive": {"tasks": 3, "diverged": 0}
    }


def test_classification_reports_both_protocols_and_regression_its_error() -> None:
    scores = {"transductive": torch.ones(2), "non_transductive": torch.zeros(2)}
    assert summary("classification", scores)["transductive"]["accuracy"] == 1
    assert summary("regression", {"mse": torch.ones(2)})["mse"] == 1


def test_results_are_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"seed": 3})
    with pytest.raises(TypeError):
        write_json(tmp_path / "results.json", {"seed": object()})
    assert json.loads((tmp_path / "results.json").read_text()) == {"seed": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
