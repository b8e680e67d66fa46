"""The notebooks run: the first steps here in small, both whole by `make notebooks`."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

from tests.conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def code_of(path: Path, **parameters: int) -> str:
    """Return a notebook's code as one script, with other values of its parameters."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    code = "\n".join("".join(cell["source"]) for cell in cells)
    for name, value in parameters.items():
        code, found = re.subn(rf"^{name} = \d+", f"{name} = {value}", code, flags=re.M)
        assert found == 1, name
    return code


def test_the_first_steps_run(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mpl.use("agg")
    monkeypatch.setenv("FIRSTORDER_CACHE", environment["FIRSTORDER_CACHE"])
    monkeypatch.chdir(tmp_path)
    path = ROOT / "docs" / "notebooks" / "first_steps.ipynb"
    given: dict[str, Any] = {}
    exec(code_of(path, STEPS=10, TASKS=2, EPISODES=1), given)
    assert set(given["answers"]) <= set(range(8))


def test_what_a_notebook_shows_comes_from_a_whole_run() -> None:
    path = ROOT / "docs" / "notebooks" / "first_steps.ipynb"
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_names_what_there_is(path: Path) -> None:
    compile(code_of(path), str(path), "exec")
    assert "site-packages" not in path.read_text()
    for experiment in re.findall(r"experiment=(\w+)", code_of(path)):
        assert list((ROOT / "conf" / "experiment").glob(f"{experiment}*.yaml")), experiment
