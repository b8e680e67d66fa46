"""Measure what an outer iteration costs outside its inner loop: sampling, Lightning, logging.

The real training loop runs; clocks note when each meta-batch begins and ends, and what lies between two
of them is the overhead. The process's own CPU clock, over all its threads, does not count the time
that other processes take; the wall clock does. The peak memory is that of the process so far.

python benchmarks/overhead.py [outer iterations]
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from hydra import compose, initialize_config_dir

from firstorder.algo import MetaAlgorithm
from firstorder.command import CONF
from firstorder.config import assemble, plain, register
from firstorder.loggers import recording
from firstorder.meta_gradient import MetaGradient
from firstorder.trainer import build_trainer

LIMIT_MS = 1.0
OUT = Path("outputs/benchmarks")
SETTINGS = {
    "sinusoid, csv": ["data=sinusoid", "logger=csv"],
    "glyphs, csv": ["data=glyphs", "logger=csv"],
    "glyphs, csv and wandb": ["data=glyphs", "logger=wandb", "logger.wandb.group=benchmark"],
}


def measure(overrides: list[str], iterations: int, folder: Path) -> dict[str, float]:
    """Train for some iterations; return milliseconds an iteration inside and outside the inner loop."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "train", [*overrides, f"trainer.max_steps={iterations}", "eval.monitor_every=0"]
        )
    config = plain(cfg)
    learner, datamodule = assemble(cfg, config)
    marks: list[
        tuple[float, float]
    ] = []  # (wall clock, CPU clock) before and after each meta-batch
    meta_batch = MetaAlgorithm.meta_batch

    def clocked(*arguments: Any) -> MetaGradient:
        marks.append((time.perf_counter(), time.process_time()))
        found = meta_batch(*arguments)
        marks.append((time.perf_counter(), time.process_time()))
        return found

    with (
        recording(folder, learner, datamodule, config) as record,
        patch.object(MetaAlgorithm, "meta_batch", clocked),
    ):
        trainer = build_trainer(folder, record.loggers, **config["trainer"])
        trainer.fit(learner, datamodule)
    spans = 1e3 * np.diff(np.array(marks), axis=0)[iterations // 5 * 2 :]  # the first ones warm up
    inside, outside = spans[::2], spans[1::2]
    return {
        "inside_wall_median_ms": float(np.median(inside[:, 0])),
        "inside_cpu_median_ms": float(np.median(inside[:, 1])),
        "outside_wall_median_ms": float(np.median(outside[:, 0])),
        "outside_cpu_median_ms": float(np.median(outside[:, 1])),
        "outside_cpu_p90_ms": float(np.quantile(outside[:, 1], 0.9)),
        "outside_cpu_mean_ms": float(np.mean(outside[:, 1])),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure every setting, print a table, write outputs/benchmarks/overhead.json."""
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    register()
    found = {}
    for name, overrides in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(overrides, iterations, Path(folder))
    print(
        f"\nms an outer iteration, of {iterations}; outside, the mean is to stay below {LIMIT_MS} ms"
    )
    print(f"{'':24s}      inside            outside")
    print(f"{'':24s}   wall     cpu    wall     cpu cpu p90 cpu mean peak MB")
    for name, row in found.items():
        print(f"{name:24s} " + " ".join(f"{value:7.2f}" for value in row.values()))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "overhead.json").write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
