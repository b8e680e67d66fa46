import json
from pathlib import Path

import pytest

from tests.conftest import Script


@pytest.mark.slow
def test_the_whole_command_runs_sweeps_analyses_and_the_report_and_goes_on(
    script: Script, tmp_path: Path
) -> None:
    """The sine waves of the paper, a thousandth of each run."""
    command = ["paper.py", "scale=0.001", "seeds=[0]", "sweeps=[figure1]", "out=report"]
    done = script(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "hours on" in done.stdout
    results = sorted(tmp_path.glob("outputs/sweeps/figure1/*/*/results.json"))
    assert len(results) == 5
    assert {json.loads(path.read_text())["steps"] for path in results} == {0, 10}
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    written = [path.stat().st_mtime_ns for path in results]
    assert script(*command, cwd=tmp_path).returncode == 0
    assert [path.stat().st_mtime_ns for path in results] == written
