"""What results.json and run.json must hold for a report or a list of runs; they may hold more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, NotRequired

from annotated_types import Len
from pydantic import AfterValidator, BeforeValidator
from typing_extensions import TypedDict  # pydantic takes typing's from Python 3.12 on

SUMMARY_KEYS = ("ci95", "tasks", "diverged")  # beside the measure itself


def measure_of(summary: Mapping[str, Any]) -> str:
    """Name what a summary measures: "accuracy", "mse"."""
    return next(name for name in summary if name not in SUMMARY_KEYS)


def by_protocol(test: Any) -> Any:
    """Return the summary of each protocol; one that stands alone is named by its measure."""
    is_alone = isinstance(test, dict) and "tasks" in test
    return {measure_of(test): test} if is_alone else test


def complete(summary: dict[str, float]) -> dict[str, float]:
    """Make sure that a summary has a measure, its interval and the number of tasks."""
    if not {"ci95", "tasks"} <= summary.keys() or set(summary) <= set(SUMMARY_KEYS):
        raise ValueError("must hold a measure, ci95 and tasks")
    return summary


def moment(text: str) -> str:
    """Make sure that a text is a time with its zone, as ISO 8601 writes it."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("must name its time zone")
    return text


Summary = Annotated[dict[str, float], AfterValidator(complete)]
Moment = Annotated[str, AfterValidator(moment)]


class TaskSize(TypedDict):
    """Of the node `data` of a run's settings."""

    ways: int
    shots: int


class Settings(TypedDict):
    """Of a run's settings."""

    data: TaskSize


class Data(TypedDict):
    """Of what was read."""

    name: str
    fingerprint: str | None


class Results(TypedDict):
    """results.json."""

    algo: str
    data: Data
    seed: int
    config: Settings
    steps: int
    test: Annotated[dict[str, Summary], BeforeValidator(by_protocol), Len(1)]
    command: NotRequired[list[str] | None]
    commit: NotRequired[str | None]
    dirty: NotRequired[bool | None]
    trained: NotRequired[dict[str, Any] | None]
    hardware: NotRequired[dict[str, Any] | None]
    started: NotRequired[str | None]
    train_seconds: NotRequired[float | None]
    eval_seconds: NotRequired[float | None]
    interruptions: NotRequired[int]
    peak_memory: NotRequired[float | None]
    gap: NotRequired[dict[str, float] | None]


class Status(TypedDict, total=False):
    """run.json."""

    status: str
    job_type: str
    error: str | None
    updated: Moment
    due_within: float
    iteration: int
    max_steps: int
    train_seconds: float
    rate: float | None
    expected_end: Moment | None
