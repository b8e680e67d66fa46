"""What a run goes on from: the newest checkpoint that is whole, written with the same settings."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from firstorder.algo import Reptile
from firstorder.cli.commands import CONF
from firstorder.cli.resuming import go_on, newest_intact, read_resumable, results_of
from firstorder.cli.schema import register
from firstorder.model import MLP
from firstorder.run.checkpoint import PARTS, AtomicCheckpoints
from firstorder.run.learner import MetaLearner
from firstorder.task import Regression
from tests.run.test_learner import SETTINGS


@pytest.fixture(scope="module")
def config() -> DictConfig:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["data=sinusoid", "algo.inner_lr=0.02", "logger=csv"])
    OmegaConf.resolve(cfg)
    return cfg


def changed(cfg: DictConfig, **changes: Any) -> DictConfig:
    cfg = cfg.copy()
    for key, value in changes.items():
        OmegaConf.update(cfg, key, value)
    return cfg


def write(path: Path, step: int = 0, **parts: Any) -> Path:
    config = {"algo": {"_target_": "firstorder.algo.Reptile"}}
    checkpoint = {**{key: {} for key in PARTS}, "global_step": step, "config": config, **parts}
    AtomicCheckpoints().save_checkpoint(checkpoint, path, {"earlier": 3})
    return path


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_the_newest_that_is_whole_is_taken_and_the_damaged_is_named_and_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert newest_intact(last) is None
    for step in range(3):
        write(last, step)
    assert newest_intact(last) == last
    damage(last)
    with caplog.at_level(logging.WARNING):
        assert newest_intact(last) == last.with_name("last-1.ckpt")
    assert str(last) in caplog.text
    assert "damaged" in caplog.text
    assert sorted(p.name for p in last.parent.iterdir()) == [
        "damaged-last.ckpt", "last-1.ckpt", "last-2.ckpt",
    ]  # fmt: skip
    for path in last.parent.glob("last-*"):
        damage(path)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read"):
        newest_intact(last)


@pytest.mark.parametrize(
    ("key", "value", "told", "can_be_taken"),
    [
        ("algo.inner_lr", 0.5, "algo.inner_lr=0.02, and this run has 0.5", True),
        ("data.train_shots", 7, "data.train_shots=50, and this run has 7", True),
        ("seed", 3, "seed=0, and this run has 3", True),
        (
            "data.source._target_",
            "my.Source",
            "data.source._target_=firstorder.data.Sinusoid",
            True,
        ),
        ("algo.outer_optimizer", "Adam", "algo.outer_optimizer=SGD, and this run has Adam", False),
        ("algo._target_", "my.Algorithm", "algo._target_=firstorder.algo.Reptile", False),
        ("model.hidden", [8], "model.hidden=[64, 64], and this run has [8]", False),
    ],
)
def test_other_settings_are_refused_by_name(
    config: DictConfig, key: str, value: Any, told: str, can_be_taken: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / "last.ckpt", config=OmegaConf.to_container(config))
    now = changed(config, ckpt_path=str(path), **{key: value})
    with pytest.raises(ValueError, match=re.escape(told)):
        read_resumable(now)
    now = changed(now, allow_changes=True)
    if can_be_taken:
        assert read_resumable(now)
    else:
        with pytest.raises(ValueError, match=re.escape(told)):
            read_resumable(now)


def test_what_does_not_move_the_weights_may_be_others(config: DictConfig, tmp_path: Path) -> None:
    path = write(tmp_path / "last.ckpt", config=OmegaConf.to_container(config))
    others = {"eval.tasks": 3, "trainer.max_steps": 7, "trainer.threads": 2, "data.shots": 2}
    assert read_resumable(changed(config, ckpt_path=str(path), **others))


def test_what_does_not_fit_the_network_is_named() -> None:
    learner = MetaLearner(Reptile(**SETTINGS), MLP(hidden=[8]), Regression(), outer_steps=1)
    checkpoint: dict[str, Any] = {"state_dict": learner.state_dict()}
    learner.on_save_checkpoint(checkpoint)
    learner.restore(checkpoint)
    moments = {"optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}]}
    with pytest.raises(ValueError, match=r"exp_avg\.0 has the shape \(3,\)"):
        learner.restore({**checkpoint, **moments})
    state = {**learner.state_dict(), "meta_parameters.phi": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"phi has the shape \(3,\) in it"):
        learner.restore({**checkpoint, "state_dict": state})


@pytest.mark.parametrize("content", ["", "[]", '{"config": 3}'])
def test_damaged_results_are_named_with_what_to_do(tmp_path: Path, content: str) -> None:
    assert results_of(tmp_path) is None
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(
        ValueError, match=rf"{tmp_path}: results.json .*; delete this file, and resume"
    ):
        results_of(tmp_path)


def test_a_named_checkpoint_does_not_go_with_one_that_is_found(config: DictConfig) -> None:
    with pytest.raises(ValueError, match=r"ckpt_path=a.ckpt cannot go with resume=auto"):
        go_on(changed(config, ckpt_path="a.ckpt", resume="auto"))


@pytest.mark.parametrize(
    ("resume", "done", "told"), [("never", 7, True), ("never", 6, False), ("auto", 7, False)]
)
def test_a_named_checkpoint_with_nothing_left_to_train_is_told(
    config: DictConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    resume: str,
    done: int,
    told: bool,
) -> None:
    path = write(tmp_path / "last.ckpt", done, config=OmegaConf.to_container(config))
    changes = {"ckpt_path": str(path), "resume": resume, "trainer.max_steps": 7}
    with caplog.at_level(logging.WARNING):
        read_resumable(changed(config, **changes))
    assert ("there is nothing to train" in caplog.text) == told
