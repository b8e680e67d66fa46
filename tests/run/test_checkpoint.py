import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from firstorder.run.atomic import Unwritable
from firstorder.run.checkpoint import (
    PARTS,
    AtomicCheckpoints,
    as_trained,
    read_checkpoint,
    sealed,
    unsealed,
)
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


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    path, limits = tmp_path / "last.ckpt", resource.getrlimit(resource.RLIMIT_FSIZE)
    AtomicCheckpoints().save_checkpoint({"i": 1}, path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(Unwritable, match=r"last\.ckpt cannot be written"):
            AtomicCheckpoints().save_checkpoint({"x": torch.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert unsealed(path.read_bytes()) == {"i": 1}
    assert [other.name for other in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_run_folder_that_has_gone_is_not_made_anew(tmp_path: Path) -> None:
    gone = tmp_path / "run" / "checkpoints" / "last.ckpt"
    with pytest.raises(Unwritable, match="No such file"):
        AtomicCheckpoints().save_checkpoint({"i": 1}, gone)
    assert not (tmp_path / "run").exists()


def test_earlier_ones_stay_by_their_age(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for i in range(5):
        AtomicCheckpoints().save_checkpoint({"i": i}, path, {"earlier": 2})
    found = {f.name: unsealed(f.read_bytes())["i"] for f in tmp_path.iterdir()}
    assert found == {"last.ckpt": 4, "last-1.ckpt": 3, "last-2.ckpt": 2}


def test_no_damaged_byte_is_taken_for_what_was_written() -> None:
    """Those of earlier versions, without a digest, are told by the sums of their parts."""
    good = {"x": torch.arange(5.0), "name": "phi"}
    content = sealed(good)
    for i in range(len(content)):
        damaged = bytearray(content)
        damaged[i] ^= 0x55
        try:
            found = unsealed(bytes(damaged))
        except Exception:
            continue
        assert torch.equal(found["x"], good["x"]), f"byte {i}"
        assert found["name"] == "phi", f"byte {i}"
        assert i >= len(content) - 71, f"byte {i} is not covered"  # the digest's own mark
    assert torch.equal(unsealed(content)["x"], good["x"])


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    parts = dict.fromkeys(PARTS, torch.rand(10_000))
    whole = sealed({**parts, "config": {"algo": {"_target_": "firstorder.algo.Reptile"}}})
    flipped = bytearray(whole)
    for place in range(30_000, 30_100):
        flipped[place] ^= 1
    path = tmp_path / "last.ckpt"
    path.write_bytes(whole)
    assert read_checkpoint(path)["config"]
    cut, foreign = whole[: len(whole) // 2], sealed({"state_dict": {}})
    for content in (b"hello", b"", cut, whole[:-1], bytes(flipped), foreign):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a checkpoint of firstorder, or is") as told:
            read_checkpoint(path)
        assert "\n" not in str(told.value)


def test_data_that_lies_elsewhere_now_is_looked_for_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTORDER_DATA", "/elsewhere")

    def root_of(then: str, given: str | None) -> str:
        trained = {"data": {"root": then, "source": {"root": then}}, "logger": {"wandb": None}}
        asked = {"data": {"root": given}, "logger": {"wandb": None}, "plugins": []}
        return str(as_trained(OmegaConf.create(asked), trained).data.source.root)

    there, gone = str(tmp_path), str(tmp_path / "gone")
    assert [root_of(there, None), root_of(gone, None), root_of(gone, "mine")] == [
        there, "/elsewhere", "mine",
    ]  # fmt: skip
