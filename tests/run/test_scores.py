from pathlib import Path

import numpy as np
import pytest
import torch

from firstorder.run.scores import CollectScores, TaskScores, read_scores, write_scores


def test_scores_come_back_in_the_order_of_the_tasks_and_none_is_dropped() -> None:
    """NaN and infinity are scores too: torchmetrics' CatMetric drops NaN."""
    collect = CollectScores(["mse"])
    collect.update([3, 1], {"mse": torch.tensor([3.0, torch.nan])}, torch.tensor([False, True]))
    collect.update([0, 2], {"mse": torch.tensor([0.0, torch.inf])}, torch.tensor([False, True]))
    found = collect.collected()
    assert found.task.tolist() == [0, 1, 2, 3]
    expected = torch.tensor([0.0, torch.nan, torch.inf, 3.0])
    torch.testing.assert_close(found.scores["mse"], expected, equal_nan=True)
    assert found.diverged.tolist() == [False, True, True, False]


def test_one_task_is_a_list_of_one_and_is_given_out_once() -> None:
    collect = CollectScores(["transductive", "non_transductive"])
    for score in (1.0, 0.5):
        scores = dict.fromkeys(collect.protocols, torch.tensor([score]))
        collect.update([0], scores, torch.tensor([False]))
        assert collect.collected().scores["transductive"].tolist() == [score]


def test_scores_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    scores = {
        "transductive": torch.tensor([0.2, 1.0]),
        "non_transductive": torch.tensor([0.4, 0.0]),
    }
    written = TaskScores(torch.tensor([5, 9]), scores, torch.tensor([True, False]))
    write_scores(tmp_path / "scores.npz", written)
    found = read_scores(tmp_path / "scores.npz")
    assert found.task.tolist() == [5, 9]
    assert found.diverged.tolist() == [True, False]
    assert all(torch.equal(found.scores[name], scores[name]) for name in scores)


def test_ten_thousand_tasks_are_a_small_file(tmp_path: Path) -> None:
    scores = {name: torch.randint(0, 6, (10_000,)) / 5 for name in ("transductive", "other")}
    written = TaskScores(torch.arange(10_000), scores, torch.zeros(10_000, dtype=torch.bool))
    write_scores(tmp_path / "scores.npz", written)
    assert (tmp_path / "scores.npz").stat().st_size < 50_000


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", other=np.zeros(3))
    with pytest.raises(ValueError, match="does not hold the scores"):
        read_scores(tmp_path / "scores.npz")
