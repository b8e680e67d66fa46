"""docs/results/report is what its run records say."""

from pathlib import Path

import pytest

from firstorder.results.report import write_report
from tests.results.test_report import settings

RESULTS = Path(__file__).parents[2] / "docs" / "results"
TEXTS = (".md", ".csv")  # pictures, HTML and Parquet hold their libraries' versions


def test_the_published_report_is_that_of_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RESULTS.parents[1])
    write_report(settings(runs=["docs/results/runs"], out=str(tmp_path)))
    published = RESULTS / "report"
    files = {path.relative_to(published) for path in published.rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == files
    for name in files:
        if name.suffix in TEXTS:
            assert (tmp_path / name).read_text() == (published / name).read_text(), name
