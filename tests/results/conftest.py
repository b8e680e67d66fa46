"""Small run folders, written by hand as `firstorder.run` writes them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from firstorder.results.paper import full_iterations

MakeRun = Callable[..., Path]


def config(label: dict[str, Any] | None, seed: int, ways: int, shots: int) -> dict[str, Any]:
    return {
        "seed": seed, "ckpt_path": None, "label": label,
        "data": {"ways": ways, "shots": shots, "source": {"root": "data", "split_seed": seed}},
        "algo": {"_target_": "firstorder.algo.Reptile", "inner_lr": 0.001, "inner_steps": 5},
        "eval": {"tasks": 4, "query_shots": 1}, "trainer": {"max_steps": 100, "threads": 1},
        "logger": {"wandb": None},
    }  # fmt: skip


def label(artefact: str = "table2", series: str = "Reptile", **more: Any) -> dict[str, Any]:
    return {"artefact": artefact, "curve" if "figure" in artefact else "row": series, **more}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder below tmp_path/outputs and return it."""

    def make(
        name: str,
        scores: dict[str, Sequence[float]] | None = None,
        *,
        seed: int = 0,
        experiment: dict[str, Any] | None = None,
        data: str = "omniglot",
        ways: int = 5,
        shots: int = 5,
        steps: int | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
        curve: dict[str, Sequence[float]] | None = None,
        status: dict[str, Any] | None = None,
        **results: Any,
    ) -> Path:
        folder = tmp_path / "outputs" / name
        place = experiment.get("artefact", "") if isinstance(experiment, dict) else ""
        steps = steps if steps is not None else full_iterations(place, ways, shots) or 1000
        folder.mkdir(parents=True)
        made = config(experiment, seed, ways, shots)
        for node, changes in (settings or {}).items():
            made[node].update(changes)
        (folder / "config.yaml").write_text(yaml.safe_dump(made))
        (folder / "run.json").write_text(
            json.dumps({"schema": 1, "job_type": "train", "status": "finished", **(status or {})})
        )
        if curve:
            columns = list(curve)
            rows = zip(*curve.values(), strict=True)
            lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
            (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
        if scores is None:
            return folder
        arrays = {protocol: np.array(values, np.float32) for protocol, values in scores.items()}
        count = len(next(iter(arrays.values())))
        np.savez_compressed(
            folder / "scores.npz", task=np.arange(count, dtype=np.uint32),
            diverged=np.zeros(count, np.uint8), **arrays,
        )  # fmt: skip
        test = {
            protocol: {
                "accuracy": float(values.astype(float).mean()), "tasks": count, "diverged": 0,
                "ci95": float(1.96 * values.astype(float).std(ddof=1) / count**0.5),
            }
            for protocol, values in arrays.items()
        }  # fmt: skip
        (folder / "results.json").write_text(
            json.dumps({
                "schema": 2, "algo": "reptile", "seed": seed, "config": made, "steps": steps,
                "data": {"name": data, "fingerprint": "f" * 64, "classes": {"test": 9}},
                "command": ["/somewhere/src/train.py", f"seed={seed}"], "commit": "c" * 40,
                "dirty": False, "hardware": {"processor": "a processor", "cores": 2, "threads": 1},
                "started": "2026-01-01T00:00:00+00:00", "train_seconds": 60.0, "eval_seconds": 1.0,
                "interruptions": 0, "peak_memory": 1000, "test": test, **results,
            })
        )  # fmt: skip
        return folder

    return make
