import subprocess
import sys

from tests.conftest import ROOT


def test_the_page_on_the_paper_keeps_up_with_the_experiments() -> None:
    command = [sys.executable, ROOT / "docs" / "experiments.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
