import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from firstorder.results.runs import find_runs
from tests.results.conftest import MakeRun, label

SCORES = {"transductive": [1.0, 0.0], "non_transductive": [0.5, 0.5]}


def reasons(root: Path, **options: bool) -> dict[str, str]:
    found = find_runs([root], **options)
    return {Path(name).name: reason for name, reason in found.left_out}


def test_runs_are_found_at_any_depth_and_once(make_run: MakeRun, tmp_path: Path) -> None:
    one, two = make_run("a/b/one", SCORES), make_run("two", SCORES)
    (tmp_path / "outputs" / "no_run").mkdir()
    found = find_runs([tmp_path / "outputs", one, tmp_path / "outputs" / "a"])
    assert [run.folder for run in found.runs] == [one, two]
    assert [run.name for run in found.runs] == ["outputs/a/b/one", "outputs/two"]
    assert not found.left_out


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        find_runs([tmp_path / "nowhere"])


def test_what_did_not_finish_is_left_out_with_the_reason(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("failed", status={"status": "failed", "error": "the update is not finite"})
    make_run("killed", status={"status": "running", "iteration": 3000, "max_steps": 100_000})
    (make_run("old") / "run.json").unlink()  # a run that left nothing but its settings
    assert reasons(tmp_path) == {
        "failed": "failed: the update is not finite",
        "killed": "not finished (running or killed), after 3,000 of 100,000 iterations",
        "old": "unfinished",
    }


def test_changed_code_and_late_failures_count_only_when_asked_for(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("dirty", SCORES, dirty=True)
    make_run("stopped", SCORES, status={"status": "interrupted"})
    left = reasons(tmp_path)
    assert "differed from the commit" in left["dirty"]
    assert left["stopped"].startswith("interrupted")
    assert set(reasons(tmp_path, include_dirty=True)) == {"stopped"}
    assert set(reasons(tmp_path, include_failed=True)) == {"dirty"}


def test_an_evaluation_of_weights_of_changed_code_is_as_dirty_as_they_are(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("clean", SCORES, trained={"dirty": False})
    make_run("unknown", SCORES, trained={"dirty": None})
    make_run("dirty", SCORES, trained={"dirty": True})
    (reason,) = reasons(tmp_path).values()
    assert reason.startswith("the code it was trained with differed from the commit")
    assert not reasons(tmp_path, include_dirty=True)


def test_a_run_that_was_interrupted_and_then_finished_counts(
    make_run: MakeRun, tmp_path: Path
) -> None:
    make_run("resumed", SCORES, interruptions=3)
    assert len(find_runs([tmp_path]).runs) == 1


def test_an_older_record_is_refused_in_one_sentence(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("older", SCORES, schema=1)
    assert reasons(tmp_path)["older"].startswith("results.json has schema 1, not 2: evaluate its")


def test_files_that_do_not_fit_together_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    one = make_run("one", SCORES)
    two = make_run("two", {"transductive": [0.0, 0.0], "non_transductive": [0.5, 0.5]})
    shutil.copy(one / "scores.npz", two / "scores.npz")
    (make_run("bare", SCORES) / "scores.npz").unlink()
    (make_run("cut", SCORES) / "results.json").write_text('{"schema": 2, "al')
    (make_run("torn", SCORES) / "scores.npz").write_bytes(b"PK")
    left = reasons(tmp_path)
    assert left["two"] == "scores.npz does not belong to results.json (transductive differs)"
    assert left["bare"] == "scores.npz, the scores of its test tasks, is missing"
    assert left["cut"] == "results.json cannot be read: it is cut off or not JSON"
    assert left["torn"].startswith("scores.npz cannot be read")


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("run.json", b"", "run.json cannot be read: it is cut off or not JSON"),
        ("run.json", b'{"iteration": "x"}', "run.json is damaged: iteration must be a whole number"),
        ("results.json", {"seed": "x"}, "results.json is damaged: seed must be a whole number"),
        ("results.json", {"config": {"data": {"ways": 5}}}, "results.json lacks config.data.shots"),
        ("results.json", {"test": None}, "results.json is damaged: test must be a mapping"),
        (
            "results.json", {"test": {"x": {"accuracy": 1}}},
            "results.json is damaged: test.x must hold a measure, ci95 and tasks",
        ),
        ("metrics.csv", b"", "metrics.csv cannot be read: No columns to parse from file"),
        ("metrics.csv", b"a\n1\n", "metrics.csv cannot be read: it has no column of steps"),
        ("metrics.csv", b"step,a\n1,?\n", "metrics.csv cannot be read: could not convert string to"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_the_other_runs_are_read(
    make_run: MakeRun, tmp_path: Path, file: str, content: bytes | dict[str, Any], reason: str
) -> None:
    make_run("whole", SCORES)
    path = make_run("damaged", SCORES) / file
    if isinstance(content, dict):
        content = json.dumps({**json.loads(path.read_text()), **content}).encode()
    path.write_bytes(content)
    assert reasons(tmp_path)["damaged"].startswith(reason)
    found = find_runs([tmp_path])
    assert len(found.runs) == len(found.damaged) == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({**label(), "colum": "x"}, "did you mean label.column?"),
        ({"row": "Reptile"}, "label.artefact is missing"),
        ({"artefact": "table2"}, "label must name a row of a table or a curve"),
        (label(x="four"), "label.x must be a number, not 'four'"),
        (label("figure4a"), "label.x is missing: figure4a is drawn against it"),
        ("table2", "label must hold artefact, row"),
    ],
)
def test_a_wrong_label_is_named(
    make_run: MakeRun, tmp_path: Path, wrong: object, sentence: str
) -> None:
    make_run("one", SCORES, experiment=wrong)
    assert sentence in reasons(tmp_path)["one"]


def test_an_only_protocol_is_called_by_its_measure(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run("waves", {"mse": [1.0, 3.0]}, data="sinusoid")
    results = json.loads((folder / "results.json").read_text())
    results["test"] = {"mse": 2.0, "ci95": 1.96, "tasks": 2, "diverged": 0}
    (folder / "results.json").write_text(json.dumps(results))
    (run,) = find_runs([tmp_path]).runs
    assert run.test == {"mse": results["test"]}
