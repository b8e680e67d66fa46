"""What is slow to import waits until a run uses it."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

LATE = ["wandb", "torch._inductor.compile_fx", "firstorder.engines.inductor"]
SHOW_CONFIG = """
import runpy, sys
sys.argv[:] = ["src/train.py", "--cfg", "job"]
runpy.run_path(sys.argv[0], run_name="__main__")
print("loaded:", *(name for name in {late!r} if name in sys.modules))
"""


def test_showing_the_config_loads_nothing_that_only_a_run_needs(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHOW_CONFIG.format(late=LATE)],
        cwd=ROOT, env={**environment, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "inner_steps: 5" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded:"
