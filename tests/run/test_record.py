import json
from pathlib import Path

import pytest
import torch

from firstorder.run.atomic import write_json
from firstorder.run.record import show, with_diverged
from firstorder.task import Classification, Regression
from firstorder.task.base import interval


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
    assert Classification().summarise(scores)["transductive"]["accuracy"] == 1
    assert Regression().summarise({"mse": torch.ones(2)})["mse"] == 1


def test_results_are_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"seed": 3})
    with pytest.raises(TypeError):
        write_json(tmp_path / "results.json", {"seed": object()})
    assert json.loads((tmp_path / "results.json").read_text()) == {"seed": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_the_closing_table_fits_a_terminal_of_80_characters(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    protocols = ("transductive", "non_transductive")
    score = {"accuracy": 0.9876, "ci95": 0.1234, "tasks": 10_000}
    record = {
        "steps": 100_000, "train_seconds": 1.0, "eval_seconds": 1.0,
        "test": dict.fromkeys(protocols, score),
        "adaptation": {"steps": [0, 1, 5, 50], "tasks": 100, **dict.fromkeys(protocols, [0.999] * 4)},
    }  # fmt: skip
    show(Classification(), record, 0, Path("run"))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    numbers = ["98.76", "±", "12.34", "%", "10000", *["99.9", "%"] * 4]
    assert [["transductive", *numbers], ["non-transductive", *numbers]] == lines[4:6]
