"""What runs recorded: read, checked, and left out where it should not count."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from firstorder.results.label import ExperimentLabel
from firstorder.results.run_folders import RECORD, SCORES, STATUS, run_folders

SCHEMA = 2
SUMMARY_KEYS = ("ci95", "tasks", "diverged")  # beside the measure itself


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes:
        folder: the run folder.
        name: its path as the report shows it.
        results: results.json.
        scores: a column a protocol, indexed by the number of the test task.
        job: "train" or "eval".
        label: its place in the paper, None if it has none.
    """

    folder: Path
    name: str
    results: dict[str, Any]
    scores: pd.DataFrame
    job: str = "train"
    label: ExperimentLabel | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The run's settings."""
        config: dict[str, Any] = self.results["config"]
        return config

    @property
    def trained_dirty(self) -> bool:
        """Whether an evaluation's weights were trained by code that differed from its commit."""
        return bool((self.results.get("trained") or {}).get("dirty"))

    @property
    def test(self) -> dict[str, dict[str, Any]]:
        """The summary of the final test under each protocol; an only protocol is named by its measure."""
        test = self.results["test"]
        return {measure_of(test): test} if "tasks" in test else test


@dataclass(frozen=True)
class FoundRuns:
    """Runs to report on, and (name, reason) of those that were left out."""

    runs: list[RunRecord] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)


def find_runs(
    paths: Sequence[Path], *, include_dirty: bool = False, include_failed: bool = False
) -> FoundRuns:
    """Read all run folders at and below the paths, sorted by name.

    Args:
        paths: run folders, and folders that hold some at any depth; one may lie in another.
        include_dirty: take runs whose code differed from its commit.
        include_failed: take runs that wrote results and failed or were interrupted afterwards.

    Raises:
        ValueError: a path is not a folder.
    """
    result = FoundRuns()
    for name, folder in sorted(run_folders(paths).items()):
        try:
            run = read_run(folder, name)
            if reason := reason_against(run, include_dirty, include_failed):
                raise ValueError(reason)
        except ValueError as error:
            result.left_out.append((name, str(error)))
        else:
            result.runs.append(run)
    return result


def read_run(folder: Path, name: str) -> RunRecord:
    """Read a finished run.

    Raises:
        ValueError: it is not finished, written by another version, or its files do not fit together.
    """
    status = read_json(folder / STATUS)
    if not (folder / RECORD).is_file():
        raise ValueError(unfinished(status))
    results = read_json(folder / RECORD)
    if results.get("schema") != SCHEMA:
        raise ValueError(
            f"results.json has schema {results.get('schema')}, not {SCHEMA}: evaluate its checkpoint"
            " anew with src/evaluate.py"
        )
    missing = [k for k in ("algo", "data", "seed", "config", "steps", "test") if k not in results]
    if missing:
        raise ValueError(f"results.json lacks {', '.join(missing)}")
    job = status.get("job_type") or ("eval" if results["config"].get("ckpt_path") else "train")
    label = ExperimentLabel.read(results["config"])
    run = RunRecord(folder, name, results, read_scores(folder / SCORES), job, label)
    check_scores(run)
    return run


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no such file.

    Raises:
        ValueError: it is something else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} cannot be read: it is cut off or not JSON")
    return content


def unfinished(status: dict[str, Any]) -> str:
    """Say how far a run came that left no results."""
    state = status.get("status", "unfinished")
    text = "not finished (running or killed)" if state == "running" else str(state)
    if status.get("error"):
        text += f": {status['error']}"
    if status.get("max_steps"):
        text += f", after {status.get('iteration', 0):,} of {status['max_steps']:,} iterations"
    return text


def read_scores(path: Path) -> pd.DataFrame:
    """Read the scores of single tasks.

    Raises:
        ValueError: there are none.
    """
    if not path.is_file():
        raise ValueError(f"{path.name}, the scores of its test tasks, is missing")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # numpy raises whatever zipfile and zlib do
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    arrays.pop("diverged", None)
    key = next((name for name in ("task", "index") if name in arrays), None)
    if key is None:
        raise ValueError(f"{path.name} has no numbers of tasks")
    index = pd.Index(arrays.pop(key).astype("int64"), name="task")
    return pd.DataFrame({name: a.astype("float64") for name, a in arrays.items()}, index=index)


def check_scores(run: RunRecord) -> None:
    """Make sure that the summary of the test is that of the scores beside it.

    Raises:
        ValueError: it is not.
    """
    for protocol, summary in run.test.items():
        scores = run.scores.get(protocol)
        if (
            scores is None
            or len(scores) != summary["tasks"]
            or not np.isclose(scores.mean(), summary[measure_of(summary)], rtol=1e-5, atol=1e-6)
        ):
            raise ValueError(f"scores.npz does not belong to results.json ({protocol} differs)")


def measure_of(summary: dict[str, Any]) -> str:
    """Name what a summary measures: "accuracy", "mse"."""
    return next(name for name in summary if name not in SUMMARY_KEYS)


def reason_against(run: RunRecord, include_dirty: bool, include_failed: bool) -> str | None:
    """Say why a run that has results is left out all the same; None if it isn't."""
    status = read_json(run.folder / STATUS)
    if status.get("status", "finished") != "finished" and not include_failed:
        return f"{unfinished(status)} (include_failed=true takes it)"
    if run.config.get("allow_changes"):
        return "it went on from weights of other settings (allow_changes=true)"
    if run.results.get("dirty") and not include_dirty:
        return "its code differed from the commit (include_dirty=true takes it)"
    if run.trained_dirty and not include_dirty:
        return "the code it was trained with differed from the commit (include_dirty=true takes it)"
    return None
