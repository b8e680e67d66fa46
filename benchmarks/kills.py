"""Kill a small run at random moments, go on, and compare its end with an undisturbed one's, to the bit.

python benchmarks/kills.py 10 trainer.checkpoint_every=1
TMPDIR=/dev/shm python benchmarks/kills.py 10 trainer.checkpoint_every=25
"""

import hashlib
import itertools
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    "data=sinusoid", "trainer.max_steps=600", "trainer.compile=never", "trainer.threads=1",
    "trainer.progress=false", "trainer.log_every=7", "eval.tasks=6", "eval.monitor_every=50",
    "eval.monitor_tasks=4", "logger=csv", "resume=auto",
]  # fmt: skip


def start(folder: Path, settings: list[str]) -> subprocess.Popen[bytes]:
    """Begin a run in a folder, or go on with it."""
    command = [sys.executable, str(ROOT / "src" / "train.py"), *SMALL, *settings]
    return subprocess.Popen([*command, f"hydra.run.dir={folder}"], stdout=subprocess.DEVNULL)


def ends(folder: Path) -> dict[str, object]:
    """Return what a run came to: digests of its weights and lines of metrics, and its final test."""
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    digest = hashlib.sha256()
    for name, tensor in sorted(checkpoint["state_dict"].items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    metrics = hashlib.sha256((folder / "metrics.csv").read_bytes())
    test = json.loads((folder / "results.json").read_text())["test"]
    return {"weights": digest.hexdigest(), "metrics": metrics.hexdigest(), "test": test}


def kill(folder: Path, settings: list[str], seconds: float) -> bool:
    """Begin a run and kill it within some seconds of training; tell whether it had not ended before."""
    process = start(folder, settings)
    while not (folder / "metrics.csv").exists():
        time.sleep(0.01)
    time.sleep(random.uniform(0, seconds))
    process.kill()
    return process.wait() != 0


def main(kills: int, settings: list[str]) -> None:
    """Print what each kill left, and whether the end is the undisturbed one's."""
    with TemporaryDirectory(dir=ROOT / "outputs") as folder:  # TMPDIR may be on another file system
        undisturbed = Path(folder, "undisturbed")
        assert start(undisturbed, settings).wait() == 0
        expected = ends(undisturbed)
        seconds = json.loads((undisturbed / "results.json").read_text())["train_seconds"]
        done = same = 0
        for number in itertools.count():
            run = Path(folder, str(number))
            if not kill(run, settings, seconds):
                continue  # it came too late
            left = sorted(path.name for path in run.glob("checkpoints/*"))
            assert start(run, settings).wait() == 0
            done, same = done + 1, same + (ends(run) == expected)
            print(f"killed with {left}: {same} of {done} ended alike", flush=True)
            if done == kills:
                break


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
