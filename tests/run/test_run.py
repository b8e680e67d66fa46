"""What a run folder tells about its run, finished or not."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from firstorder.run.journal import read_journal
from firstorder.run.run import Run

CONFIG = {"ckpt_path": None, "logger": {"wandb": None}}


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (None, "finished", None),
        (ValueError("data.ways=500 is\ntoo many"), "failed", "data.ways=500 is too many"),
        (AssertionError(), "failed", "AssertionError"),
        (KeyboardInterrupt(), "interrupted", None),
        (SystemExit(143), "interrupted", None),
    ],
)
def test_a_folder_tells_how_its_run_ended(
    tmp_path: Path, error: BaseException | None, status: str, sentence: str | None
) -> None:
    expected = pytest.raises(type(error)) if error else nullcontext()
    with expected, Run(tmp_path, CONFIG):
        running = read_journal(tmp_path)
        assert running
        assert running.status == "running"
        if error:
            raise error
    ended = read_journal(tmp_path)
    assert ended
    assert (ended.status, ended.error) == (status, sentence)


def test_a_leg_goes_on_with_the_journal_of_its_folder_and_of_no_other(tmp_path: Path) -> None:
    """The first start and the Weights & Biases run stay; a checkpoint from elsewhere brings neither."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    with Run(here, CONFIG) as first:
        first.journal.write(wandb_id="abc", interruptions=2)
    config = {**CONFIG, "ckpt_path": str(here / "checkpoints" / "last.ckpt")}
    checkpoint = {"global_step": 3}
    again = Run(here, config, checkpoint=checkpoint).journal
    assert (again.wandb_id, again.interruptions, again.status) == ("abc", 2, "running")
    assert again.started == first.journal.started
    assert Run(there, config, checkpoint=checkpoint).journal.wandb_id is None
    assert Run(here, CONFIG).journal.wandb_id is None  # from scratch


@pytest.mark.parametrize(
    "content", ['{"schema"', "", "[]", "{}", '{"command": [], "iteration": "x"}']
)
def test_a_damaged_journal_is_named_and_a_missing_one_is_none(tmp_path: Path, content: str) -> None:
    assert read_journal(tmp_path) is None
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ValueError, match=rf"{tmp_path}: run.json .*; delete this file to go on"):
        read_journal(tmp_path)
