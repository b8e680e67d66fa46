"""Importances of hyper-parameters: of a search whose scores are a known function of them."""

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import optuna
import pytest

from firstorder.analysis import Importances
from firstorder.analysis.importances import NOISE
from firstorder.cli.searches import open_study
from tests.conftest import Script


def search(folder: Path, trials: int = 40) -> optuna.Study:
    """Return a study in which only the logarithm of one hyper-parameter counts."""
    from omegaconf import OmegaConf

    config = OmegaConf.create(
        {"storage": f"sqlite:///{folder}/study.db", "study_name": "s", "direction": "maximize"}
    )
    study, draws = open_study(config), np.random.default_rng(0)
    for number in range(trials):
        lr, steps, other = 10 ** draws.uniform(-4, -2), int(draws.integers(2, 21)), draws.uniform()
        values = {"algo.inner_lr": lr, "algo.inner_steps": steps, "algo.outer_lr": other}
        with warnings.catch_warnings(action="ignore"):
            study.add_trial(
                optuna.trial.create_trial(
                    params=values,
                    distributions={
                        "algo.inner_lr": optuna.distributions.LogUniformDistribution(1e-4, 1e-2),
                        "algo.inner_steps": optuna.distributions.IntLogUniformDistribution(2, 20),
                        "algo.outer_lr": optuna.distributions.UniformDistribution(0, 1),
                    },
                    value=0.9 + 0.02 * np.log10(lr), state=optuna.trial.TrialState.COMPLETE,
                ) if number else optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL)
            )  # fmt: skip
    return study


def test_what_counts_is_told_from_what_does_not(tmp_path: Path) -> None:
    search(tmp_path)
    analysis = Importances(study=str(tmp_path), forests=3)
    table = analysis.measure()
    mean = table[table.kind == "importance"].groupby("parameter").value.mean()
    assert mean.sum() == pytest.approx(1)
    assert mean["algo.inner_lr"] > 0.9
    assert mean[["algo.inner_steps", "algo.outer_lr", NOISE]].max() < 0.05
    summary = analysis.summarise(table).set_index("hyper-parameter")
    assert summary.index[0] == "algo.inner_lr"
    assert summary["rank correlation with the score"]["algo.inner_lr"] == "+1.00"
    assert summary["trials"].unique().tolist() == [39]  # the failed one says nothing
    bars, *panels = analysis.draw(table).axes
    assert len(bars.patches) == 4
    assert [axes.get_xscale() for axes in panels] == [
        "linear" if axes.get_xlabel() == "algo.outer_lr" else "log" for axes in panels
    ]


def test_the_same_seed_gives_the_same_table(tmp_path: Path) -> None:
    search(tmp_path, 8)
    one, same, other = (
        Importances(study=str(tmp_path), forests=1, seed=seed).measure() for seed in (0, 0, 1)
    )
    assert one.equals(same)
    assert not one.equals(other)


def test_what_is_no_finished_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither the folder of a search nor its study"):
        Importances(study=str(tmp_path / "none")).measure()
    (tmp_path / "study.db").write_text(
        "no data base, but a text that is long enough to be read as one"
    )
    with pytest.raises(ValueError, match="is not a study of Optuna"):
        Importances(study=str(tmp_path)).measure()
    (tmp_path / "study.db").unlink()
    search(tmp_path, 3)
    with pytest.raises(ValueError, match="has 2 finished trials"):
        Importances(study=str(tmp_path)).measure()


@pytest.mark.parametrize("tables", [(), ("studies",), ("mine",)])
def test_a_data_base_of_something_else_is_refused_and_left_as_it_is(
    tmp_path: Path, tables: tuple[str, ...]
) -> None:
    """Optuna would make its tables in it."""
    file = tmp_path / "study.db"
    with closing(sqlite3.connect(file)) as database:
        for name in tables:
            database.execute(f"CREATE TABLE {name} (x INTEGER)")
    file.touch()
    before = file.read_bytes()
    with pytest.raises(ValueError, match="is not a study of Optuna"):
        Importances(study=str(tmp_path)).measure()
    if before:  # an empty file is what a search makes first
        with pytest.raises(ValueError, match="holds no study of Optuna: give the search another"):
            search(tmp_path, 0)
    assert file.read_bytes() == before


def test_one_command_draws_them(script: Script, tmp_path: Path) -> None:
    search(tmp_path, 8)
    done = script(
        "analyze.py", "analysis=importances", "analysis.study=.", "analysis.forests=2",
        "hydra.run.dir=run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "summary.md").read_text() in done.stdout
    assert {path.name for path in (tmp_path / "run").glob("importances.*")} == {
        "importances.png", "importances.svg",
    }  # fmt: skip
