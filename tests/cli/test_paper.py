from pathlib import Path

import pytest

from firstorder.cli import paper
from firstorder.results.run_folders import run_folders


def test_an_evaluation_of_one_shot_lies_where_the_report_finds_it_and_is_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside its training run: nothing is looked for inside of one."""
    monkeypatch.chdir(tmp_path)
    run = Path("outputs/sweeps/table2/table2_5way_5shot/seed=0")
    run.mkdir(parents=True)
    calls: list[tuple[str, ...]] = []

    def call(*command: str) -> int:
        calls.append(command)
        (folder,) = (part for part in command if part.startswith("hydra.run.dir="))
        made = Path(folder.removeprefix("hydra.run.dir=").strip("'"))
        made.mkdir()
        (made / "results.json").write_text("{}")
        return 0

    monkeypatch.setattr(paper, "call", call)
    (run / "results.json").write_text("{}")
    for _ in range(2):
        runs = list(paper.trained_for_five_shots(["table2", "figure3"]))
        assert runs == [run]
        assert paper.evaluate_one_shot(run) is None
    assert len(calls) == 1
    assert "data.shots=1" in calls[0]
    assert len(run_folders([Path("outputs/sweeps/table2")])) == 2
