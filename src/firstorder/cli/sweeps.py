"""Sweeps: note each job's start and end, keep a failure from ending the rest, print a final table."""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich import box
from rich.table import Table

from firstorder.cli.messages import message
from firstorder.cli.seeds import show_seeds
from firstorder.messages import console
from firstorder.run.atomic import writing

logger = logging.getLogger(__name__)

SWEEP = "FIRSTORDER_SWEEP"  # names a call of a command, to the processes of its jobs too
NOTES = "jobs.jsonl"  # in the sweep's folder, a line for each start and end of a job
SHOWN = {"skipped": "was finished", "started": "did not end"}
LAUNCHERS = ("joblib", "submitit", "ray")  # where what a launcher raises comes from
failed_jobs: list[str] = []  # of the sweep that this process has run
folders: list[Path] = []  # of the sweeps that it has begun


def begin() -> None:
    """Give this call of a command a name of its own."""
    os.environ[SWEEP] = f"{os.getpid()}-{time.time_ns()}"


def note(status: str, sentence: str = "") -> None:
    """Add a line on the job of this process to the sweep's notes."""
    hydra = HydraConfig.get()
    path = Path(hydra.sweep.dir) / NOTES
    line = {
        "sweep": os.environ.get(SWEEP),
        "job": str(Path(hydra.runtime.output_dir).relative_to(path.parent.absolute())),
        "status": status,
        "sentence": sentence,
    }
    with writing(path), path.open("a") as file:
        file.write(json.dumps(line) + "\n")  # one short write: lines of several processes don't mix


def note_failure(error: BaseException) -> None:
    """Note that the job of this process failed, so that the others go on."""
    is_exit = isinstance(error, SystemExit) and isinstance(error.code, int)
    sentence = f"it exited with status {error}" if is_exit else message(error)
    logger.error("job %s failed: %s", HydraConfig.get().job.num, sentence)
    note("failed", sentence)


def ends_all(error: BaseException) -> bool:
    """Tell whether an error ends the sweep with the job: Ctrl-C, or an exit by a signal's number."""
    if not isinstance(error, SystemExit):
        return False
    is_signal = isinstance(error.code, int) and error.code > 128
    return is_signal or isinstance(error.__context__, KeyboardInterrupt)


@contextmanager
def table_of_lost_jobs() -> Iterator[None]:
    """Say how a sweep went whose launcher gives up, because a process was killed with its job.

    Raises:
        ValueError: it did.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, RuntimeError) and "srun" in str(error):  # submitit's words
            raise ValueError(
                "hydra/launcher=slurm hands jobs to SLURM, and there is no srun on this machine: give the"
                " command where there is one, or hydra/launcher=local"
            ) from error
        if type(error).__module__.partition(".")[0] not in LAUNCHERS:
            raise
        if folders:
            show_table(folders[-1])
        raise ValueError(
            f"a process of the sweep ended before its job ({type(error).__name__}): the same command,"
            " with resume=auto, does what is missing"
        ) from error


class SweepTable(Callback):
    """Print a table of the jobs at the end of a sweep: finished, failed with the sentence, skipped."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folders.append(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        show_table(Path(config.hydra.sweep.dir))


def show_table(folder: Path) -> None:
    """Print what became of the jobs of this call of a sweep, and remember those that failed."""
    jobs = read_notes(folder, os.environ.get(SWEEP))
    done = ("finished", "skipped")
    failed_jobs[:] = [name for name, job in jobs.items() if job["status"] not in done]
    table = Table(title=f"{len(jobs)} jobs in {folder}", box=box.SIMPLE)
    for column in ("job", "status", ""):
        table.add_column(column, overflow="fold")
    for name, job in sorted(jobs.items(), key=lambda item: item[1]["status"] == "failed"):
        table.add_row(name, SHOWN.get(job["status"], job["status"]), job["sentence"])
    console().print(table)
    show_seeds(folder / name for name, job in jobs.items() if job["status"] in done)


def read_notes(folder: Path, sweep: str | None) -> dict[str, dict[str, str]]:
    """Return the last note on each job of a sweep, by the job's name."""
    path = folder / NOTES
    lines = path.read_text().splitlines() if path.exists() else []
    notes = [json.loads(line) for line in lines]
    return {line["job"]: line for line in notes if line["sweep"] == sweep}
