"""Searches that go on: an Optuna study lies in its sweep's folder and is taken up where it stopped."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, read_write

from firstorder.cli.commands import report_user_errors
from firstorder.cli.resuming import first_difference
from firstorder.cli.validation import validate
from firstorder.json_files import read_json
from firstorder.results.studies import holds_study
from firstorder.run.atomic import write_json

if TYPE_CHECKING:
    import optuna

SETTINGS = (
    "search.json"  # in the sweep's folder: what the trials share, and the space they are drawn from
)
LOCK = "search.lock"
held: list[FileLock] = []  # not in the callback, which goes to the processes of jobs


class GoOnWithSearch(Callback):
    """Before a search starts, look for what an earlier call of the same command has left of it.

    Its unfinished and failed trials are tried again with the hyper-parameters they had, and as many new
    ones are drawn as are missing to `n_trials`. The sampler gets another seed, as it would otherwise draw
    the first trials once more.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        with report_user_errors():  # Hydra would make a warning of an error
            folder, sweeper = Path(config.hydra.sweep.dir), config.hydra.sweeper
            folder.mkdir(parents=True, exist_ok=True)  # SQLite makes none
            held.append(hold(folder))
            check_settings(folder, config)
            study = open_study(sweeper)
            with read_write(config):
                sweeper.sampler.seed += len(study.trials)
                sweeper.n_trials = take_up(study, sweeper.n_trials)


def hold(folder: Path) -> FileLock:
    """Keep other processes out of a search until this one ends, however it ends.

    Raises:
        ValueError: one is at it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"another process runs the search in {folder}: wait for it, or give this one another"
            " folder (hydra.sweep.dir=...)"
        ) from None
    return lock


def check_settings(folder: Path, config: DictConfig) -> None:
    """Check what the trials of a search share, and compare it with that of the trials before.

    Raises:
        ValueError: a setting is wrong, or the folder holds a search with another.
    """
    keys = [str(key) for key in config if key not in ("hydra", "logger")]
    shared = OmegaConf.masked_copy(config, keys)
    validate(shared)
    now: Any = OmegaConf.to_container(shared, resolve=True)
    now["hydra"] = {"sweeper": search_of(config)}
    path = folder / SETTINGS
    if not (earlier := read_json(path)):
        write_json(path, now)
    elif difference := first_difference(earlier, now):
        key, then, current = difference
        raise ValueError(
            f"{folder} holds a search with {key}={then}, and this one has {key}={current}: give this"
            " search another folder (hydra.sweep.dir=...) or delete that one"
        )


def search_of(config: DictConfig) -> dict[str, Any]:
    """Return a search's sampler and space; ranges on the command line replace those of the config."""
    overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    ranges = [override for override in overrides if override.is_sweep_override()]
    found: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
    given = {each.get_key_element(): each.get_value_string() for each in ranges}
    return {"sampler": found["sampler"], "params": {**(found["params"] or {}), **given}}


def open_study(sweeper: DictConfig) -> "optuna.Study":
    """Return the study of a search, a new one where there is none.

    Raises:
        ValueError: its file holds something else.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it lists its plug-ins
    warnings.filterwarnings("ignore", category=FutureWarning, module="optuna")  # at every trial
    import optuna  # an extra, and slow to load
    from sqlalchemy import make_url

    url = make_url(sweeper.storage)
    file = Path(url.database or "")
    if (
        url.drivername == "sqlite"
        and file.is_file()
        and file.stat().st_size
        and not holds_study(file)
    ):
        raise ValueError(
            f"hydra.sweeper.storage={sweeper.storage} is a file that holds no study of Optuna: give the"
            " search another folder (hydra.sweep.dir=...) or delete that file"
        )
    # The sweeper's Optuna, of 2022, relies on autocommit, which SQLAlchemy 2 gives only when asked:
    # without it, a new file lacks its version and cannot be opened again.
    storage = optuna.storages.RDBStorage(
        sweeper.storage, engine_kwargs={"isolation_level": "AUTOCOMMIT"}
    )
    return optuna.create_study(
        study_name=sweeper.study_name, storage=storage,
        direction=getattr(sweeper.direction, "name", sweeper.direction), load_if_exists=True,
    )  # fmt: skip


def take_up(study: "optuna.Study", n_trials: int) -> int:
    """Queue the trials again that were interrupted or failed; return how many trials are missing."""
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import TrialState

    def wanted(trial: "optuna.trial.FrozenTrial") -> dict[str, Any]:
        found: dict[str, Any] = trial.system_attrs.get("fixed_params", trial.params)
        return found

    trials = study.trials
    known = [wanted(t) for t in trials if t.state in (TrialState.COMPLETE, TrialState.WAITING)]
    for trial in trials:
        if trial.state == TrialState.RUNNING:  # of a process that is no more: the lock is ours
            study.tell(trial.number, state=TrialState.FAIL)
        if trial.state in (TrialState.RUNNING, TrialState.FAIL) and wanted(trial) not in known:
            with warnings.catch_warnings(category=ExperimentalWarning, action="ignore"):
                study.enqueue_trial(wanted(trial))
            known.append(wanted(trial))
    finished = sum(trial.state == TrialState.COMPLETE for trial in trials)
    return max(n_trials - finished, 0)
