"""A data set can be made ready before a run."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "src/prepare.py"


def test_preparing_says_so_and_leaves_nothing_in_the_working_folder(tmp_path):
    command = [sys.executable, str(SCRIPT), "data=sinusoid"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "sinusoid is ready\n"
    assert not list(tmp_path.iterdir())
