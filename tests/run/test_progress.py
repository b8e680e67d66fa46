from types import SimpleNamespace
from typing import Any

import pytest

from firstorder.run.progress import OuterProgress, describe


def test_the_bar_says_losses_and_validation_and_nothing_else() -> None:
    metrics = {
        "v_num": 0,
        "train/loss_before": 1.6094,
        "train/loss_after": 0.25,
        "val/transductive": 0.512,
        "val/non_transductive": 0.4,
    }
    assert describe(metrics) == "inner loss 1.61 -> 0.25, val 0.512 / 0.4"
    assert describe({}) == ""


def test_the_bar_of_a_resumed_run_starts_where_it_stopped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer: Any = SimpleNamespace(max_steps=8, global_step=6, progress_bar_metrics={})
    bar = OuterProgress(refresh_every=2)
    bar.on_train_start(trainer, trainer)
    assert "6/8" in capsys.readouterr().err
    trainer.global_step = 8
    bar.on_train_batch_end(trainer)
    bar.on_train_end(trainer, trainer)
    assert "8/8" in capsys.readouterr().err


def test_ranks_that_are_told_to_be_quiet_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    trainer: Any = SimpleNamespace(max_steps=8, global_step=0, progress_bar_metrics={})
    bar = OuterProgress()
    bar.disable()
    bar.on_train_start(trainer, trainer)
    bar.on_train_batch_end(trainer)
    assert capsys.readouterr().err == ""
