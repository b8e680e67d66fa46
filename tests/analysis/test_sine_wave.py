from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from firstorder.algo import MAML, Reptile
from firstorder.analysis import SineWave
from firstorder.data import Density, Fields, Glyphs, Sinusoid, Topics
from firstorder.model import MLP

INNER = {"inner_steps": 3, "inner_batch_size": 5, "inner_lr": 0.02, "inner_optimizer": "sgd",
         "loss_reduction": "mean"}  # fmt: skip


def study(**settings: Any) -> SineWave:
    torch.manual_seed(0)
    algorithms = {
        "reptile": Reptile(**INNER),  # type: ignore[arg-type]
        "maml": MAML(**INNER, outer_optimizer="Adam", outer_lr=1e-3),  # type: ignore[arg-type]
    }
    usual = {"source": Sinusoid(), "counts": (0, 1, 4)}
    return SineWave(
        algorithms=algorithms, model=MLP(hidden=(8, 8)), outer_steps=3, **{**usual, **settings}
    )


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return study().measure()


def test_all_initialisations_see_the_same_wave_and_points(table: pd.DataFrame) -> None:
    for kind, count in ("wave", 50), ("support", 10):
        curves = [found[found.kind == kind] for _, found in table.groupby("initialisation")]
        assert len(curves) == 3
        for found in curves:
            assert len(found) == count
            assert found.y.tolist() == curves[0].y.tolist()


def test_training_has_moved_the_initialisation(table: pd.DataFrame) -> None:
    before = (
        table[(table.kind == "fit") & (table.steps == 0)].groupby("initialisation").y.apply(tuple)
    )
    assert before["random"] != before["reptile"] != before["maml"]


def test_the_errors_are_those_of_the_fits(table: pd.DataFrame) -> None:
    found = table[(table.initialisation == "random") & (table.steps.isin([0, 4]))]
    wave, fit = (found[found.kind == kind].groupby("steps").y for kind in ("wave", "fit"))
    error = ((wave.get_group(0).to_numpy() - fit.get_group(4).to_numpy()) ** 2).mean()
    summary = study().summarise(table).set_index("initialisation")
    assert float(summary.loc["random", "4 steps"]) == pytest.approx(error, abs=1e-3)
    assert len(study().draw(table).axes) == 3


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.ckpt"):
        study(checkpoints={"reptile": str(tmp_path / "none.ckpt")}).measure()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"checkpoints": {"reptil": "x.ckpt"}}, r"analysis\.checkpoints=reptil .*mean reptile\?"),
        ({"counts": (4, 0, 4)}, r"analysis\.counts=\[4, 0, 4\] must rise: write \[0, 4\]"),
        ({"source": Topics()}, "data=topics has no functions to fit"),
        ({"source": Glyphs()}, "data=glyphs has no functions to fit"),
        ({"source": Fields(images="glyphs")}, "data=fields has no curves"),
        ({"source": Density(images="glyphs")}, "data=density has no functions to fit"),
    ],
)
def test_settings_that_would_be_ignored_or_break_are_named(
    settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        study(**settings)
