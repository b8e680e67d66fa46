"""What runs recorded: read, checked, and left out where it should not count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from firstorder.json_files import DamagedError, check_content, read_json
from firstorder.results.content import Results, Status, by_protocol, measure_of
from firstorder.results.label import ExperimentLabel
from firstorder.results.run_folders import METRICS, RECORD, SCORES, STATUS, run_folders

SCHEMA = 2


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
        metrics: what was logged, a row a step, empty where nothing was.
    """

    folder: Path
    name: str
    results: dict[str, Any]
    scores: pd.DataFrame
    job: str = "train"
    label: ExperimentLabel | None = None
    metrics: pd.DataFrame = field(default_factory=pd.DataFrame)

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
        test: dict[str, dict[str, Any]] = by_protocol(self.results["test"])
        return test


Runs = Mapping[str, RunRecord]  # by name


@dataclass(frozen=True)
class FoundRuns:
    """Runs to report on, (name, reason) of those that were left out, and which of these are damaged."""

    runs: list[RunRecord] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


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
            if isinstance(error, DamagedError):
                result.damaged.append(name)
        else:
            result.runs.append(run)
    return result


def read_run(folder: Path, name: str) -> RunRecord:
    """Read a finished run.

    Raises:
        ValueError: it is not finished, or written by another version.
        DamagedError: a file is missing or damaged, or they do not fit together.
    """
    status = read_json(folder / STATUS)
    check_content(STATUS, status, Status)
    if not (folder / RECORD).is_file():
        raise ValueError(unfinished(status))
    results = read_json(folder / RECORD)
    if results.get("schema") != SCHEMA:
        raise ValueError(
            f"results.json has schema {results.get('schema')}, not {SCHEMA}: evaluate its checkpoint"
            " anew with src/evaluate.py"
        )
    check_content(RECORD, results, Results)
    job = status.get("job_type") or ("eval" if results["config"].get("ckpt_path") else "train")
    label = ExperimentLabel.read(results["config"])
    scores, metrics = read_scores(folder / SCORES), read_metrics(folder / METRICS)
    run = RunRecord(folder, name, results, scores, job, label, metrics)
    check_scores(run)
    return run


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
        DamagedError: there are none, or they are damaged.
    """
    if not path.is_file():
        raise DamagedError(f"{path.name}, the scores of its test tasks, is missing")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        arrays.pop("diverged", None)
        numbers = arrays.pop("task" if "task" in arrays else "index")
        index = pd.Index(numbers.astype("int64"), name="task")
        return pd.DataFrame({name: a.astype("float64") for name, a in arrays.items()}, index=index)
    except Exception as error:  # numpy raises whatever zipfile and zlib do
        raise DamagedError(f"{path.name} cannot be read: {error}") from error


def read_metrics(path: Path) -> pd.DataFrame:
    """Read what was logged while a run trained, empty where nothing was.

    Raises:
        DamagedError: it is not a table of numbers with a column of steps.
    """
    if not path.is_file():
        return pd.DataFrame()
    try:
        metrics = pd.read_csv(path, dtype=float)
        if "step" not in metrics:
            raise ValueError("it has no column of steps")
    except ValueError as error:
        raise DamagedError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    return metrics


def check_scores(run: RunRecord) -> None:
    """Make sure that the summary of the test is that of the scores beside it.

    Raises:
        DamagedError: it is not.
    """
    for protocol, summary in run.test.items():
        scores = run.scores.get(protocol)
        if (
            scores is None
            or len(scores) != summary["tasks"]
            or not np.isclose(scores.mean(), summary[measure_of(summary)], rtol=1e-5, atol=1e-6)
        ):
            raise DamagedError(f"scores.npz does not belong to results.json ({protocol} differs)")


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
