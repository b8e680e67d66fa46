"""Algorithms, networks and sources in a package of the user's own."""

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from firstorder.cli.assembly import build
from firstorder.cli.messages import message
from firstorder.cli.own_parts import config_dirs, register_own
from firstorder.cli.schema import register
from firstorder.places import CONF

ALGORITHM = """
from dataclasses import dataclass
from firstorder import Reptile

@dataclass(frozen=True, kw_only=True)
class Slower(Reptile):
    factor: float = 0.5
"""
CONFIG = """
defaults:
  - /schema/algo/Slower@_here_

_target_: own_algorithm.Slower
"""


def test_a_config_folder_of_ones_own_adds_to_the_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "own_algorithm.py").write_text(ALGORITHM)
    (tmp_path / "configs" / "algo").mkdir(parents=True)
    (tmp_path / "configs" / "algo" / "slower.yaml").write_text(CONFIG)
    register()
    with pytest.raises(ValueError, match=r"slower.yaml: .*plugins=.own_algorithm. to the command"):
        register_own(["algo=slower", "--config-dir", "configs"])
    assert "own_algorithm" not in sys.modules
    monkeypatch.setattr("firstorder.plugins.named", {"own_algorithm", "nowhere"})
    register_own(["algo=slower", "--config-dir", "configs"])
    own = f"hydra.searchpath=[file://{tmp_path / 'configs'}]"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = build(compose("train", [own, "algo=slower", "algo.factor=0.25"]), "algo")
        assert (type(found).__name__, found.factor, found.inner_steps) == ("Slower", 0.25, 5)
        with pytest.raises(Exception, match="factr") as caught:
            compose("train", [own, "algo=slower", "algo.factr=1"])
        assert message(caught.value) == "there is no setting algo.factr, did you mean algo.factor?"


def test_a_class_that_is_not_there_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("firstorder.plugins.named", {"nowhere"})
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "mine.yaml"
    path.write_text("_target_: nowhere.Mine\n")
    with pytest.raises(
        ValueError, match=r"mine.yaml: model._target_=nowhere.Mine cannot be imported"
    ):
        register_own([f"--config-dir={tmp_path}"])
    path.write_text("a: [")
    with pytest.raises(ValueError, match=r"mine.yaml is no YAML"):
        register_own([f"--config-dir={tmp_path}"])


def test_the_folder_is_found_wherever_it_stands() -> None:
    for line in ("--config-dir mine seed=1", "seed=1 --config-dir=mine", "-cd mine"):
        assert [*config_dirs(line.split())] == [Path("mine")]
