"""Measure what an outer iteration costs outside its inner loop: sampling, Lightning, logging.

The real run runs, with its real data and loggers, but for the meta-batch: the first one is computed, and
its result given back for all others. What an iteration takes then is the overhead. The peak memory is
that of whole runs, training and evaluation, each in a process of its own.

python benchmarks/overhead.py [outer iterations]
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from hydra import compose, initialize_config_dir

from firstorder.algo import MetaAlgorithm
from firstorder.cli.assembly import assemble, plain
from firstorder.cli.schema import register
from firstorder.meta_gradient import MetaGradient
from firstorder.places import CONF
from firstorder.run.run import Run

LIMIT_MS = 1.0
OUT = Path("outputs/benchmarks")
SETTINGS = {
    "sinusoid, csv": ["data=sinusoid", "logger=csv"],
    "glyphs, csv": ["data=glyphs", "logger=csv"],
    "glyphs, csv and wandb": ["data=glyphs", "logger=wandb", "logger.wandb.group=benchmark"],
}


def measure(overrides: list[str], iterations: int, folder: Path) -> dict[str, float]:
    """Train for some iterations without their inner loops; return milliseconds an iteration."""
    overrides = [*overrides, f"trainer.max_steps={iterations}", "eval.monitor_every=0"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides)
    config = plain(cfg)
    learner, datamodule = assemble(cfg, config)
    meta_batch, found, begun = MetaAlgorithm.meta_batch, list[MetaGradient](), list[float]()

    def stored(*arguments: Any) -> MetaGradient:
        if not found:
            found.append(meta_batch(*arguments))
        begun.append(time.perf_counter())
        return found[0]

    with (
        Run(folder, config) as run,
        patch.object(MetaAlgorithm, "meta_batch", stored),
    ):
        run.trainer(learner, datamodule).fit(learner, datamodule)
    spans = 1e3 * np.diff(begun)[iterations // 10 :]  # the first ones warm up
    low, middle, high = np.quantile(spans, [0.25, 0.5, 0.75]).tolist()
    return {"q25": low, "median": middle, "q75": high, "mean": float(spans.mean())}


def peak_mb(data: str) -> float:
    """Return the peak memory of the largest process so far among runs of train.py, this one included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "src/train.py",
            f"data={data}",
            "logger=csv",
            "trainer.max_steps=20",
        ]
        command += ["eval.tasks=40", "trainer.progress=false", f"hydra.run.dir={folder}"]
        subprocess.run(command, check=True, capture_output=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    """Measure every setting, print a table, write outputs/benchmarks/overhead.json."""
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    memory = {data: peak_mb(data) for data in ("sinusoid", "glyphs")}  # the smaller one first
    register()
    found = {}
    for name, overrides in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(overrides, iterations, Path(folder))
    print(f"\nms an outer iteration outside its inner loop, of {iterations}; at most {LIMIT_MS}")
    print(f"{'':24s} " + " ".join(f"{name:>7s}" for name in next(iter(found.values()))))
    for name, row in found.items():
        print(f"{name:24s} " + " ".join(f"{value:7.2f}" for value in row.values()))
    print("\npeak memory of a run and its evaluation, MB")
    for name, value in memory.items():
        print(f"{name:24s} {value:7.0f}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "overhead.json").write_text(json.dumps({"ms": found, "mb": memory}, indent=2) + "\n")


if __name__ == "__main__":
    main()
