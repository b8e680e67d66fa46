import json
from pathlib import Path

import pytest

from tests.conftest import Script

SMALL = {
    "expansion": ["analysis.tasks=1", "analysis.steps=[2]", "analysis.alphas=[1e-6,1e-5]"],
    "manifolds": ["analysis.iterations=4"],
    "sine_wave": ["analysis.outer_steps=2"],
    "fields": [
        "analysis.outer_steps=2",
        "data=signals",
        "analysis.counts=[0,2]",
        "analysis.tasks=3",
    ],
}


@pytest.mark.parametrize("analysis", SMALL)
def test_one_command_leaves_a_table_a_summary_and_a_figure(
    analysis: str, script: Script, tmp_path: Path
) -> None:
    done = script(
        "analyze.py", f"analysis={analysis}", *SMALL[analysis], "model.hidden=[4]",
        "hydra.run.dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "run" / "table.json").read_text())
    assert (tmp_path / "run" / "summary.md").read_text() in done.stdout
    assert len(list((tmp_path / "run").glob("*.png"))) == 1
    assert len(list((tmp_path / "run").glob("*.svg"))) == 1


def test_a_setting_that_is_mistyped_is_named(script: Script, tmp_path: Path) -> None:
    done = script("analyze.py", "analysis.task=1", cwd=tmp_path)
    assert done.returncode != 0
    assert "did you mean analysis.tasks?" in done.stderr
