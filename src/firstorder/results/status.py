"""Where runs stand, told by their folders alone: running, stalled, finished, failed, interrupted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firstorder.json_files import DamagedError, check_content, read_json
from firstorder.results.content import Status
from firstorder.results.run_folders import RECORD, STATUS, run_folders

ORDER = ("running", "stalled", "failed", "interrupted", "unknown", "finished")
DUE_WITHIN = 60.0  # seconds, where run.json does not say it


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        run: its folder.
        state: one of `ORDER`. "stalled" says that it is running, and gave no sign of life for longer than
            it said it would: it was killed, or hangs. "unknown": run.json is missing or damaged.
        job: "train" or "eval".
        iteration, max_steps: outer iterations done and to do.
        rate: outer iterations a second; the mean over all legs where it has ended.
        expected_end: when training will be done, ISO 8601.
        silent: seconds since its last sign of life.
        error: the sentence that a failed run ended with, or what is wrong with run.json.
    """

    run: str
    state: str
    job: str | None = None
    iteration: int = 0
    max_steps: int = 0
    rate: float | None = None
    expected_end: str | None = None
    silent: float | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def find_statuses(paths: Sequence[Path], now: datetime | None = None) -> list[RunStatus]:
    """Return where all runs at and below the paths stand, those that run first.

    Raises:
        ValueError: a path is not a folder.
    """
    now = now or datetime.now(UTC)
    found = [status_of(folder, name, now) for name, folder in run_folders(paths).items()]
    return sorted(found, key=lambda status: (ORDER.index(status.state), status.run))


def status_of(folder: Path, name: str, now: datetime) -> RunStatus:
    """Return where the run of a folder stands at the time `now`."""
    try:
        journal = check_content(STATUS, read_json(folder / STATUS), Status)
    except DamagedError as error:
        return RunStatus(name, "unknown", error=str(error))
    if not journal:
        return RunStatus(name, "finished" if (folder / RECORD).is_file() else "unknown")
    state = str(journal.get("status"))
    updated = journal.get("updated")
    silent = (now - datetime.fromisoformat(updated)).total_seconds() if updated else None
    if state == "running" and silent is not None and silent > journal.get("due_within", DUE_WITHIN):
        state = "stalled"
    iteration, seconds = journal.get("iteration", 0), journal.get("train_seconds", 0.0)
    is_on = state == "running"
    mean = iteration / seconds if seconds else None
    return RunStatus(
        run=name,
        state=state if state in ORDER else "unknown",
        job=journal.get("job_type"),
        iteration=iteration,
        max_steps=journal.get("max_steps", 0),
        rate=journal.get("rate") if is_on else mean,
        expected_end=journal.get("expected_end") if is_on else None,
        silent=silent,
        error=journal.get("error"),
    )
