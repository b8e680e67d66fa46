import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.processes import run_script

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "data=glyphs", "model.filters=16", "trainer.max_steps=6", "trainer.progress=false",
    "trainer.log_every=2", "trainer.checkpoint_every=2", "trainer.threads=1", "eval.tasks=6",
    "eval.batch=3", "eval.inner_steps=3", "eval.monitor_every=3", "eval.monitor_tasks=2",
]  # fmt: skip
SECRET = "s3cr3t-of-the-tests"
SECRETS = {  # in the environment of the shared run, to be found nowhere
    **dict.fromkeys(("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MY_PASSWORD"), SECRET),
    "WANDB_API_KEY": SECRET.ljust(40, "0"), "WANDB_MODE": "offline",
}  # fmt: skip


@cache
def arrays_of_tasks() -> Path:
    """Write a folder of small tasks, for `data=arrays`, which has no default of its own."""
    folder = Path(tempfile.mkdtemp(prefix="firstorder-arrays-"))
    atexit.register(shutil.rmtree, folder)
    x = np.random.default_rng(0).standard_normal((10, 30, 2)).astype(np.float32)
    for number, one in enumerate(x):
        np.savez(folder / f"{number}.npz", x=one, y=np.sin(one.sum(1) + number))
    return folder


Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give scripts a cache of the tests' own and no account anywhere."""
    not_ours = ("WANDB", "FIRSTORDER", "HYDRA", "COLUMNS")  # xdist sets the last for its workers
    kept = {k: v for k, v in os.environ.items() if not k.startswith(not_ours)}
    cache = tmp_path_factory.getbasetemp().parent / "firstorder-cache"  # shared by parallel workers
    return {**kept, "FIRSTORDER_CACHE": str(cache), "HOME": str(cache), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return where real archives lie, or skip."""
    root = Path(os.environ.get("FIRSTORDER_DATA", ROOT.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"no data sets in {root}: set FIRSTORDER_DATA")
    return root


@pytest.fixture(scope="session")
def script(environment: dict[str, str]) -> Script:
    """Run a script of src/ in a process of its own, in the folder `cwd`."""

    def run(
        name: str | Path, *overrides: str, cwd: Path, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return run_script(ROOT / "src" / name, overrides, cwd, {**environment, **environ})

    return run


@pytest.fixture(scope="session")
def tiny_run(script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of one small training run, a real process, Weights & Biases on."""
    folder = tmp_path_factory.mktemp("tiny")
    done = script("train.py", *TINY, "hydra.run.dir=run", cwd=folder, **SECRETS)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "run" / "stdout.txt").write_text(done.stdout)
    (folder / "run" / "stderr.txt").write_text(done.stderr)
    return folder / "run"
