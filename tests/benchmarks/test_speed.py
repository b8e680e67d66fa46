"""What the benchmark makes of its numbers; the numbers themselves are no test."""

from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.speed import Row
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("row", "is_met"),
    [
        (Row("share", 0.61, 0.75, percent=True), True),
        (Row("share", 0.59, 0.75, percent=True), False),
        (Row("times Reptile's time", 4.9, 4.0, at_most=True), True),
        (Row("times Reptile's time", 5.1, 4.0, at_most=True), False),
        (Row("without a goal", 0.0), True),
    ],
)
def test_a_goal_is_missed_by_more_than_a_fifth(row: Row, is_met: bool) -> None:
    assert row.is_met is is_met


def test_the_page_of_results_is_what_the_kept_tables_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(page, "PAGE", tmp_path / "speed.md")
    page.write_page()
    assert (tmp_path / "speed.md").read_text() == (ROOT / "docs/results/speed.md").read_text()
