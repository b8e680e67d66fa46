import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from firstorder.cli.watching import local, table_of
from firstorder.results.status import find_statuses
from tests.conftest import Script

NOW = datetime(2030, 1, 2, 12, tzinfo=UTC)


def write(folder: Path, silent: float, **said: object) -> None:
    folder.mkdir(parents=True)
    updated = (NOW - timedelta(seconds=silent)).isoformat()
    journal = {
        "status": "running",
        "job_type": "train",
        "updated": updated,
        "max_steps": 100,
        **said,
    }
    (folder / "run.json").write_text(json.dumps(journal))


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    ends = (NOW + timedelta(seconds=50)).isoformat()
    write(tmp_path / "a/on", 20, iteration=50, rate=1.0, expected_end=ends, due_within=60)
    write(tmp_path / "a/slow", 400, iteration=5, rate=0.01, due_within=1000)
    write(tmp_path / "b/hangs", 61, iteration=7, rate=2.0, expected_end=ends, due_within=60)
    write(tmp_path / "b/old", 9e6, status="failed", error="data.ways=500 is too many")
    write(tmp_path / "b/done", 9e6, status="finished", iteration=100, train_seconds=50.0, rate=3.0)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.json").write_text('{"status": "run')
    return tmp_path


def test_folders_alone_tell_where_their_runs_stand(outputs: Path) -> None:
    found = {Path(status.run).name: status for status in find_statuses([outputs], NOW)}
    states = {name: status.state for name, status in found.items()}
    assert states == {
        "on": "running", "slow": "running", "hangs": "stalled", "old": "failed", "c": "unknown",
        "done": "finished",
    }  # fmt: skip
    assert list(states) == ["on", "slow", "hangs", "old", "c", "done"]  # what runs comes first
    assert (found["on"].rate, found["on"].expected_end) == (1.0, "2030-01-02T12:00:50+00:00")
    assert found["hangs"].expected_end is None
    assert found["hangs"].silent == 61
    assert found["done"].rate == 2.0  # over all legs
    assert found["old"].error == "data.ways=500 is too many"
    assert found["c"].error == "run.json cannot be read: it is cut off or not JSON"


@pytest.mark.parametrize(
    "wrong", [{"iteration": None}, {"updated": "2030-01-02"}, {"rate": "x"}, {"error": 3}]
)
def test_what_no_run_writes_is_named(outputs: Path, wrong: dict[str, object]) -> None:
    (outputs / "c" / "run.json").write_text(json.dumps({"status": "running", **wrong}))
    found = find_statuses([outputs], NOW)
    assert table_of(found).row_count == 6
    (damaged,) = (status for status in found if status.state == "unknown")
    assert str(damaged.error).startswith(f"run.json is damaged: {next(iter(wrong))} must ")


def test_the_table_counts_them(outputs: Path) -> None:
    table = table_of(find_statuses([outputs], NOW))
    assert table.title == "2 running, 1 stalled, 1 failed, 1 unknown, 1 finished"
    assert table.row_count == 6
    assert len(local("2030-01-02T12:00:50+00:00")) == len("2030-01-02 12:00")


def test_scripts_read_it_as_json(script: Script, tmp_path: Path, tiny_run: Path) -> None:
    done = script("status.py", str(tiny_run), "--json", cwd=tmp_path)
    (status,) = json.loads(done.stdout)
    assert (status["state"], status["iteration"], status["max_steps"]) == ("finished", 6, 6)
    assert status["rate"] > 0
    gone = script("status.py", "nowhere", cwd=tmp_path)
    assert gone.returncode == 1
    assert gone.stderr == "error: runs: nowhere is not a folder\n"
