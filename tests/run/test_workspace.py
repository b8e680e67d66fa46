"""The workspace is checked through the model that would be sent: saving it takes an account."""

import json
from pathlib import Path
from typing import Any

import pytest

from firstorder.run.workspace import build_workspace
from tests.conftest import Script
from tests.run.test_wandb_content import legs, summary

Panels = dict[str, list[dict[str, Any]]]  # of each section


@pytest.fixture(scope="module")
def view() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        build_workspace("me", "firstorder")._to_model().model_dump_json(by_alias=True)
    )
    return found


@pytest.fixture(scope="module")
def panels(view: dict[str, Any]) -> Panels:
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in sections}


def test_runs_are_averaged_by_group_and_training_apart_from_evaluation(
    view: dict[str, Any], panels: Panels
) -> None:
    assert (view["entity"], view["project"]) == ("me", "firstorder")
    (runs,) = view["spec"]["section"]["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["group", "jobType"]
    lines = [p["config"] for name in ("Learning curves", "Adaptation") for p in panels[name]]
    assert {(c["aggregate"], c["groupAgg"], c["groupArea"]) for c in lines} == {
        (True, "mean", "stddev")
    }


def test_panels_show_what_runs_log(panels: Panels, tiny_run: Path) -> None:
    """Every key of a classification run that a panel should show, along the axis it was logged on."""
    (leg,) = legs(tiny_run)
    logged = summary(leg)["summary"].keys()
    axis = {
        metric: panel["config"]["xAxis"]
        for section in ("Learning curves", "Adaptation", "Training")
        for panel in panels[section]
        for metric in panel["config"]["metrics"]
    }
    curves = {name for name in logged if name.startswith(("train/", "val/", "adaptation/"))}
    curves.remove("adaptation/inner_step")
    assert curves <= axis.keys()
    for name in curves:
        prefix = name.partition("/")[0]
        assert axis[name] == (
            "adaptation/inner_step" if prefix == "adaptation" else "trainer/global_step"
        )
    final = json.dumps(panels["Final test"])
    assert all(name in final for name in ("test_table", "test/transductive"))
    assert "test_episode" in json.dumps(panels["Pictures"])


def test_without_a_key_one_sentence_says_what_to_do(script: Script, tmp_path: Path) -> None:
    done = script("workspace.py", "entity=me", cwd=tmp_path)
    assert done.returncode != 0
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "error: a workspace is kept by the server of Weights & Biases, and there"
    )
    assert "WANDB_API_KEY" in last
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_answer_is_named(script: Script, tmp_path: Path) -> None:
    done = script(
        "workspace.py", cwd=tmp_path, WANDB_API_KEY="a1b2c3d4" * 5, WANDB_BASE_URL="http://127.0.0.1:9"
    )  # fmt: skip
    assert done.returncode != 0
    assert "cannot be reached (ConnectionError): no workspace was saved" in done.stderr
    assert "Traceback" not in done.stderr
