"""What a checkpoint remembers of the run that wrote it, and what that does to those who go on."""

from pathlib import Path
from typing import Any

import pytest

from firstorder.run.journal import Journal
from firstorder.run.origin import Origin, origin_of, told_by
from firstorder.run.run import Run

CONFIG = {"ckpt_path": "elsewhere/checkpoints/last.ckpt", "logger": {"wandb": None}}


def checkpoint(folder: Path, dirty: bool | None) -> dict[str, Any]:
    journal = Journal(folder, ["train.py", "seed=1"], commit="c" * 40, dirty=dirty, wandb_id="abc")
    return {"global_step": 3, "callbacks": {"Origin": Origin(journal).state_dict()}}


def test_an_evaluation_knows_the_training_and_is_not_dirty_by_it_itself(tmp_path: Path) -> None:
    run = Run(tmp_path, CONFIG, checkpoint=checkpoint(tmp_path, True), job_type="eval")
    assert run.trained == {
        "commit": "c" * 40, "dirty": True, "command": ["train.py", "seed=1"], "wandb_id": "abc",
    }  # fmt: skip
    assert run.journal.dirty == Run(tmp_path, CONFIG).journal.dirty


@pytest.mark.parametrize("dirty", [True, False])
def test_weights_of_changed_code_stay_dirty_when_trained_on(tmp_path: Path, dirty: bool) -> None:
    run = Run(tmp_path, CONFIG, checkpoint=checkpoint(tmp_path, dirty))
    assert run.trained is None
    assert run.journal.dirty == (dirty or Run(tmp_path, CONFIG).journal.dirty)


def test_of_an_older_checkpoint_the_run_folder_tells(tmp_path: Path) -> None:
    path, old = tmp_path / "checkpoints" / "last.ckpt", {"global_step": 3, "callbacks": {}}
    assert origin_of(old, path) == dict.fromkeys(("commit", "dirty", "command", "wandb_id"))
    journal = Journal(tmp_path, ["train.py"], commit="d" * 40, dirty=False)
    journal.write()
    assert origin_of(old, path) == told_by(journal)
