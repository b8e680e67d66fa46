import pandas as pd
import pytest
import torch

from firstorder.algo import Joint, Reptile
from firstorder.analysis import Fields
from firstorder.data import Signals, Sinusoid
from firstorder.model import MLP, Siren

INNER = {"inner_steps": 8, "inner_batch_size": 32, "inner_lr": 0.003, "inner_optimizer": "sgd",
         "loss_reduction": "mean", "meta_batch_size": 3, "parallel": True}  # fmt: skip


def study() -> Fields:
    torch.manual_seed(0)
    algorithms = {
        "reptile": Reptile(**INNER, outer_lr=0.5),  # type: ignore[arg-type]
        "joint": Joint(**INNER, outer_lr=0.05),  # type: ignore[arg-type]
    }
    return Fields(
        algorithms=algorithms, source=Signals(), model=Siren(1, (32, 32), 1), outer_steps=200,
        shots=32, train_shots=32, batch_size=32, points=41, tasks=12, counts=(0, 2, 5, 20),
        step_sizes=(1.0, 4.0),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return study().measure()


def test_a_learned_initialisation_fits_new_signals_faster(table: pd.DataFrame) -> None:
    """Tancik et al. 2021."""
    scores = table[table.kind == "score"].groupby(["initialisation", "steps"]).value.mean()
    assert scores["reptile", 5] > scores["random", 5] + 1
    assert scores["reptile", 2] > scores["joint", 2]


def test_the_values_shown_are_those_of_one_task_for_every_initialisation(
    table: pd.DataFrame,
) -> None:
    targets = table[table.kind == "target"].groupby("initialisation").value.apply(tuple)
    assert len(set(targets)) == 1
    assert len(targets.iloc[0]) == 41
    fits = table[(table.kind == "fit") & (table.initialisation == "reptile")]
    assert set(fits.steps) == {0, 2, 5, 20}


def test_the_summary_says_what_a_random_initialisation_needs(table: pd.DataFrame) -> None:
    summary = study().summarise(table).set_index("initialisation")
    scores = table[(table.kind == "score") & (table.initialisation == "joint")]
    mean = scores[scores.steps == 20].value.mean()
    assert summary.loc["joint", "20 steps"] == f"{mean:.1f}"
    assert summary.loc["random", "as good as after 5, random needs"] == "5"
    figure = study().draw(table)
    assert len(figure.subfigs[1].axes) == 3 * 5


def test_where_less_is_better_the_step_size_of_the_least_error_is_taken() -> None:
    torch.manual_seed(0)
    rule = Reptile(**{**INNER, "inner_steps": 4, "inner_batch_size": 10})  # type: ignore[arg-type]
    table = Fields(
        algorithms={"reptile": rule}, source=Sinusoid(), model=MLP(), outer_steps=1, shots=10,
        train_shots=10, batch_size=10, points=20, tasks=4, counts=(0, 4), step_sizes=(1.0, 300.0),
    ).measure()  # fmt: skip
    errors = table[table.kind == "score"].groupby(["initialisation", "steps"]).value.mean()
    assert errors["random", 4] < 2 * errors["random", 0]  # 300 times the step size diverges
