import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from firstorder.run.checkpoint import AtomicCheckpoints, read_checkpoint
from tests.conftest import ROOT

WRITE_FOR_EVER = """
import sys, torch
from firstorder.run.checkpoint import AtomicCheckpoints
for i in range(10**9):
    AtomicCheckpoints().save_checkpoint({"i": i, "x": torch.full((2_000_000,), float(i))}, sys.argv[1])
"""


def test_a_kill_while_a_checkpoint_is_written_leaves_a_whole_one(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Several real SIGKILLs, with the folder for temporary files on another file system."""
    path = tmp_path / "checkpoints" / "last.ckpt"
    elsewhere = "/dev/shm" if Path("/dev/shm").is_dir() else str(tmp_path)
    for wait in (0.0, 0.013, 0.031):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, path],
            env={**environment, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": elsewhere},
        )
        deadline = time.monotonic() + 60
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not (path.exists() and path.stat().st_mtime_ns > before):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        found = torch.load(path, weights_only=True)
        assert (found["x"] == found["i"]).all()


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"i": 1}, path)
    with pytest.raises(Exception, match="pickle"):
        AtomicCheckpoints().save_checkpoint({"i": lambda: None}, path)
    assert torch.load(path, weights_only=True) == {"i": 1}
    assert [other.name for other in tmp_path.iterdir()] == ["last.ckpt"]


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_text("hello")
    with pytest.raises(ValueError, match="is not a checkpoint of firstorder"):
        read_checkpoint(tmp_path / "last.ckpt")
