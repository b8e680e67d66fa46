import csv
from pathlib import Path

import pytest

from firstorder.run.metrics_file import MetricsFile, read_rows


def steps(path: Path) -> list[int]:
    return [int(row["step"]) for row in csv.DictReader(path.open())]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return metrics.csv with steps 0 to 4."""
    path = tmp_path / "metrics.csv"
    log = MetricsFile(path)
    for step in range(5):
        log.log_metrics({"loss": 1 / (1 + step)}, step)
    return path


def test_a_line_is_on_the_disk_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    log = MetricsFile(path)
    for step in range(3):
        log.log_metrics({"loss": 0.5}, step)
        assert path.read_text().splitlines()[-1] == f"{step},0.5"


def test_a_name_that_comes_later_gets_a_column(path: Path) -> None:
    log = MetricsFile(path, first_step=5)
    log.log_metrics({"accuracy": 0.25}, 5)
    log.log_metrics({"loss": 0.1}, 6)
    rows = read_rows(path)
    assert [row["accuracy"] for row in rows] == ["", "", "", "", "", "0.25", ""]
    assert [float(row["loss"] or "nan") for row in rows][:5] == [1 / (1 + i) for i in range(5)]
    assert rows[6]["loss"] == "0.1"


def test_a_resumed_run_drops_what_it_will_log_again(path: Path) -> None:
    log = MetricsFile(path, first_step=3)
    for step in (3, 4, 5):
        log.log_metrics({"loss": 0.5}, step)
    assert steps(path) == [0, 1, 2, 3, 4, 5]


def test_a_resume_that_logs_nothing_leaves_the_file_alone(path: Path) -> None:
    before = path.read_text()
    log = MetricsFile(path, first_step=3)
    log.save()
    log.finalize("success")
    assert path.read_text() == before


def test_a_new_run_starts_anew(path: Path) -> None:
    MetricsFile(path).log_metrics({"mse": 1.0}, 0)
    assert path.read_text() == "step,mse\n0,1.0\n"


def test_a_line_cut_off_by_a_kill_is_dropped(path: Path) -> None:
    path.write_text(path.read_text() + "5,0.3")
    MetricsFile(path, first_step=6).log_metrics({"loss": 0.2}, 6)
    assert steps(path) == [0, 1, 2, 3, 4, 6]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00\n", b"a,b\n1,2\n", b"step,mse\n1,x\n", b"step\n1,2\n"]
)
def test_a_damaged_file_is_named_before_anything_is_logged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"metrics.csv is damaged: mend it, or delete it"):
        MetricsFile(path, first_step=3)
    assert path.read_bytes() == content
