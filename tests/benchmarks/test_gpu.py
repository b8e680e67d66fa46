import json
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def test_the_benchmark_of_a_gpu_runs_on_a_processor(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    command = [sys.executable, ROOT / "benchmarks" / "gpu.py", "--device", "cpu", "--quick"]
    done = subprocess.run(
        [*command, "--cases", "omniglot"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "outputs" / "benchmarks" / "gpu.json").read_text())
    equal = found["equality"]["omniglot"]
    assert {(row["algo"], row["convolutions"]) for row in equal if row["parallel"]} == {
        (algo, way) for algo in ("reptile", "maml") for way in ("products", "library")
    }
    assert all(row["error"] < 1e-9 for row in equal if row["dtype"] == "float64")
    assert all(row["ms_a_step_and_task"] > 0 for row in found["cases"]["omniglot"])
    assert found["whole_runs"]["published_run_minutes"] > 0
