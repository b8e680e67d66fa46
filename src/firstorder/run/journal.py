"""run.json: where a run stands, told by its folder alone, whatever became of its process."""

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only

from firstorder.json_files import DamagedError, check_content, read_json
from firstorder.run.atomic import write_json
from firstorder.run.provenance import git_state

NAME = "run.json"
SCHEMA = 1


def now() -> str:
    """Return the time, UTC, as ISO 8601 writes it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Journal:
    """Keep run.json: written when a run starts, now and then while it trains, and when it ends.

    A run is done in legs: a resume is another leg. A process that was killed leaves "running" behind;
    `updated` tells how long ago it last was.

    Attributes:
        folder: the run folder.
        command: the last leg's command line.
        job_type: "train" or "eval".
        status: "running", "finished", "failed" or "interrupted".
        error: the sentence that a failed run ended with.
        started: time of the first leg's start.
        updated: time of the last writing.
        commit: the code of the last leg, see `git_state`.
        dirty: whether that of any leg behind the weights was changed since its commit.
        iteration: outer iterations done.
        max_steps: outer iterations to do.
        train_seconds: time behind them, over all legs.
        rate: outer iterations a second, validation included, of this leg; None until it is known.
        expected_end: when training will be done at this rate; None otherwise.
        due_within: seconds after `updated` within which a run that is alive writes again.
        interruptions: legs that ended before their last iteration.
        wandb_id: the Weights & Biases run, which the next leg goes on with.
    """

    folder: Path
    command: list[str]
    job_type: str = "train"
    status: str = "running"
    error: str | None = None
    started: str = field(default_factory=now)
    updated: str = ""
    commit: str | None = None
    dirty: bool | None = None
    iteration: int = 0
    max_steps: int = 0
    train_seconds: float = 0.0
    rate: float | None = None
    expected_end: str | None = None
    due_within: float = 1800.0  # data may have to be fetched and prepared
    interruptions: int = 0
    wandb_id: str | None = None

    def write(self, **changes: Any) -> None:
        """Note what has changed, and write the file."""
        for name, value in changes.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        self.updated = now()
        self._save()

    @rank_zero_only
    def _save(self) -> None:
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        write_json(self.folder / NAME, {"schema": SCHEMA, **content})


def read_journal(folder: Path) -> Journal | None:
    """Return the journal of a run folder, None where it has none.

    Raises:
        ValueError: it is damaged.
    """
    try:
        if not (content := read_json(folder / NAME)):
            return None
        read: Journal = check_content(NAME, {**content, "folder": folder}, Journal, strict=False)
    except DamagedError as error:
        raise ValueError(
            f"{folder}: {error}; delete this file to go on without what it says of earlier legs"
        ) from error
    return read


def open_journal(folder: Path, command: list[str], job_type: str, goes_on: bool) -> Journal:
    """Return the journal of a new leg: of the run in this folder where it goes on, else of a new run."""
    before = read_journal(folder) if goes_on else None
    journal = before or Journal(folder, command, job_type)
    journal.command, journal.status, journal.error = command, "running", None
    journal.rate, journal.expected_end, journal.due_within = None, None, Journal.due_within
    journal.commit, journal.dirty = git_state()
    return journal
