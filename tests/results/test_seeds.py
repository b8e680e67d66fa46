"""The table at the end of a sweep."""

import pytest

from firstorder.cli.seeds import show_seeds
from tests.results.conftest import MakeRun


def test_runs_that_differ_in_their_seed_alone_are_averaged(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        make_run(f"{lr}_{seed}", {"transductive": [share, share]}, seed=seed,
                 settings={"algo": {"inner_lr": lr}})
        for lr, seed, share in ((0.1, 0, 0.5), (0.1, 1, 0.75), (0.2, 0, 1.0))
    ]  # fmt: skip
    unfinished = make_run("unfinished")
    show_seeds([*folders, unfinished])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["algo.inner_lr", "test", "mean", "±", "deviation", "seeds"] in rows
    assert ["0.1", "transductive", "62.50", "±", "17.68", "%", "0,", "1"] in rows
    assert ["0.2", "transductive", "100.00", "±", "?", "%", "0"] in rows


def test_without_a_second_seed_nothing_is_said(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    show_seeds([make_run("a", {"transductive": [1.0, 0.5]}), make_run("b")])
    assert capsys.readouterr().out == ""


def test_algorithms_are_told_apart_by_their_names(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    nodes = {
        "Reptile": {"_target_": "firstorder.algo.Reptile", "divide_by_inner_lr": False},
        "FOMAML": {"_target_": "firstorder.algo.FOMAML"},
    }
    show_seeds([
        make_run(f"{name}_{seed}", {"non_transductive": [0.5, 1.0]}, seed=seed, settings={"algo": node})
        for name, node in nodes.items() for seed in (0, 1)
    ])  # fmt: skip
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["algo", "test", "mean", "±", "deviation", "seeds"] in rows
    assert ["Reptile", "non-transductive", "75.00", "±", "0.00", "%", "0,", "1"] in rows
