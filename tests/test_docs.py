import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("page", ["experiments", "settings"])
def test_a_page_keeps_up_with_the_configs_that_it_is_made_of(page: str) -> None:
    command = [sys.executable, ROOT / "docs" / f"{page}.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_version_stands_in_one_place() -> None:
    import firstorder

    for path in ("pyproject.toml", "CITATION.cff", "setup.py"):
        assert firstorder.__version__ not in (ROOT / path).read_text(), path
    assert f"## {firstorder.__version__}" in (ROOT / "CHANGELOG.md").read_text()
