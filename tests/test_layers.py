import subprocess
import sys

from tests.conftest import ROOT

HEAVY = ("lightning", "matplotlib", "fontTools", "requests", "pandas", "wandb", "firstorder.data")


def test_the_mathematics_loads_torch_and_nothing_that_runs_it() -> None:
    code = "import sys, firstorder.inner_loop, firstorder.meta_gradient, firstorder.network\n"
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
