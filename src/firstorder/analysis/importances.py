"""Appendix A: which hyper-parameters of a search had an effect on the score, and which had little."""

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from firstorder.analysis.base import Analysis
from firstorder.results.studies import holds_study
from firstorder.settings import Count, Filename, Seed, check_fields

if TYPE_CHECKING:
    import optuna
    from matplotlib.figure import Figure

NOISE = "noise"  # a hyper-parameter that had no effect
FEWEST = 3  # trials


@dataclass(frozen=True, kw_only=True)
class Importances(Analysis):
    """Fit random forests to the scores of a search, and see what they split by.

    An importance is the share of a forest's decrease in variance that is due to a hyper-parameter
    (Breiman 2001; optuna.importance). The shares of all add up to 1 however little they matter, so that a
    column of random numbers, drawn anew for each forest, shows what no effect at all looks like.

    Attributes:
        study: the folder of a search, or its study.db.
        forests: how many to fit, each of 64 trees.
        seed: of the forests and of the noise.
    """

    study: Filename
    forests: Count = 20
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_fields(self, "analysis")
        if missing := [name for name in ("optuna", "sklearn") if find_spec(name) is None]:
            raise ValueError(
                f"analysis=importances needs {' and '.join(missing)}: pip install -e '.[sweep]'"
            )

    def measure(self) -> pd.DataFrame:
        """Return a row for each value of a trial, kind "trial", and each importance, kind "importance".

        Column `number` is that of the trial or of the forest; `value` is the hyper-parameter's or the
        importance. Trials have a `score`, and an `axis`, "log" or "linear", on which values were drawn.

        Raises:
            ValueError: there is no such study, or it has too few finished trials, or all score the same.
        """
        trials = finished_trials(Path(self.study))
        rows = [row for trial in trials for row in trial_rows(trial)]
        for forest in range(self.forests):
            rows += importance_rows(trials, forest, self.seed)
        return pd.DataFrame(rows)

    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return importances in falling order, and the rank correlation of value and score."""
        trials, found = (table[table.kind == kind] for kind in ("trial", "importance"))
        by = found.groupby("parameter").value
        rows = []
        for name in by.mean().sort_values(ascending=False).index:
            here = trials[trials.parameter == name]
            correlation = spearmanr(here.value, here.score).statistic if len(here) else np.nan
            rows.append({
                "hyper-parameter": name,
                "importance": f"{by.mean()[name]:.2f}",
                "deviation over forests": f"{by.std(ddof=0)[name]:.2f}",
                "rank correlation with the score": "" if np.isnan(correlation) else f"{correlation:+.2f}",
                "trials": trials.number.nunique(),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def draw(self, table: pd.DataFrame) -> "Figure":
        from firstorder.figures.importances import draw_importances  # matplotlib is slow to load

        return draw_importances(table)


def finished_trials(path: Path) -> list["optuna.trial.FrozenTrial"]:
    """Return the finished trials of the study in a search's folder, or in a file of SQLite.

    Raises:
        ValueError: there is none, or they say nothing.
    """
    import optuna  # an extra, and slow to load

    file = path / "study.db" if path.is_dir() else path
    if not file.exists():
        raise ValueError(
            f"analysis.study={path} is neither the folder of a search nor its study.db"
        )
    storage = f"sqlite:///{file}"
    if not holds_study(file):
        raise ValueError(f"analysis.study={path} is not a study of Optuna")
    names = [study.study_name for study in optuna.get_all_study_summaries(storage)]
    if len(names) != 1:
        raise ValueError(f"analysis.study={path} must hold one study, and holds {len(names)}")
    trials = optuna.load_study(names[0], storage).get_trials(
        states=(optuna.trial.TrialState.COMPLETE,)
    )
    if len(trials) < FEWEST or len({trial.value for trial in trials}) == 1:
        raise ValueError(
            f"analysis.study={path} has {len(trials)} finished trials; importances need {FEWEST} or more,"
            " and scores that differ"
        )
    return trials


def trial_rows(trial: "optuna.trial.FrozenTrial") -> Iterator[dict[str, Any]]:
    """Yield the hyper-parameters of a trial."""
    for name, value in trial.params.items():
        axis = "log" if "Log" in type(trial.distributions[name]).__name__ else "linear"
        yield {"kind": "trial", "parameter": name, "number": trial.number, "value": value,
               "score": trial.value, "axis": axis}  # fmt: skip


def importance_rows(
    trials: list["optuna.trial.FrozenTrial"], forest: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yield what one forest found, given a column of noise besides."""
    import optuna
    from optuna.importance import MeanDecreaseImpurityImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(logging.WARNING)  # it announces each study
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    draws = np.random.default_rng((seed, forest))
    uniform = optuna.distributions.UniformDistribution(0, 1)
    study = optuna.create_study(direction="maximize")
    for trial in trials:
        study.add_trial(optuna.trial.create_trial(
            params={**trial.params, NOISE: draws.uniform()},
            distributions={**trial.distributions, NOISE: uniform}, value=trial.value,
        ))  # fmt: skip
    evaluator = MeanDecreaseImpurityImportanceEvaluator(seed=int(draws.integers(2**31)))
    for name, share in get_param_importances(study, evaluator=evaluator).items():
        yield {"kind": "importance", "parameter": name, "number": forest, "value": share}
