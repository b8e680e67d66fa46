"""Divergence is found out some iterations later, and nothing of it stays."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer

from firstorder.algo import Reptile
from firstorder.algo.base import Context
from firstorder.inner_loop import Batch, Loss
from firstorder.inner_optimizer import State
from firstorder.meta_gradient import Meta, MetaGradient
from firstorder.model import MLP
from firstorder.run.callbacks import SaveBeforeDying
from firstorder.run.idle_gpu import advice
from firstorder.run.learner import MetaLearner, NotFiniteError
from firstorder.task import Regression
from tests.run.test_learner import SETTINGS, waves

STEPS = 12
ADAM = {"outer_optimizer": "Adam", "outer_lr": 0.01, "meta_batch_size": 2}


@dataclass(frozen=True, kw_only=True)
class Diverging(Reptile):
    """Reptile that gives infinity at one iteration."""

    bad: int | None = None

    def meta_gradient(
        self, loss: Loss, meta: Meta, state: State, batches: Sequence[Batch], context: Context
    ) -> MetaGradient:
        found = super().meta_gradient(loss, meta, state, batches, context)
        if context.iteration != self.bad:
            return found
        return found._replace(direction={"phi": found.direction["phi"] / 0})


def run(
    bad: int | None,
    *,
    until: int = STEPS,
    folder: Path | None = None,
    ckpt_path: Path | None = None,
    **settings: Any,
) -> MetaLearner:
    torch.manual_seed(0)
    algorithm = Diverging(**SETTINGS, **ADAM, bad=bad)
    learner = MetaLearner(
        algorithm, MLP(hidden=[8]), Regression(), outer_steps=STEPS, config={}, **settings
    )
    data = waves(algorithm, STEPS)
    trainer = Trainer(
        max_steps=until, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
        inference_mode=False, callbacks=[SaveBeforeDying(folder / "last.ckpt")] if folder else [],
    )  # fmt: skip
    trainer.fit(learner, data, ckpt_path=ckpt_path)
    return learner


@pytest.mark.parametrize("look_back", [1, 4, 100])
@pytest.mark.parametrize("bad", [0, 6])
def test_the_weights_before_a_bad_iteration_are_kept_and_training_goes_on_from_them(
    bad: int, look_back: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotFiniteError, match=f"outer iteration {bad} is not finite") as caught:
        run(bad, folder=tmp_path, look_back=look_back)
    assert "(inner loss nan" not in str(caught.value)
    assert (tmp_path / "last.ckpt").exists() == (bad > 0)
    if not bad:
        return
    assert f"stopped after {bad} iterations" in capsys.readouterr().out
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["global_step"] == bad
    expected = run(None, until=bad, look_back=look_back)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(saved["state_dict"][name], tensor)
    adam = expected.optimizers().state_dict()["state"][0]  # type: ignore[union-attr]
    for name, tensor in saved["optimizer_states"][0]["state"][0].items():
        assert torch.equal(tensor, adam[name])

    resumed = run(None, ckpt_path=tmp_path / "last.ckpt", look_back=look_back)
    whole = run(None, look_back=look_back)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor)


def test_what_is_logged_and_learnt_does_not_depend_on_how_far_one_looks_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged: list[dict[str, float]] = []
    monkeypatch.setattr(MetaLearner, "_log", lambda self, metrics, _: logged.append(metrics))
    one, five = (run(None, look_back=look_back, log_every=4) for look_back in (1, 5))
    assert torch.equal(one.phi, five.phi)
    assert len(logged) == 2 * 3
    assert logged[:3] == logged[3:]


def test_a_gpu_is_offered_more_tasks_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(MetaLearner, "device", torch.device("cuda"))
    for number in (5, 1):
        rule = Reptile(**SETTINGS, meta_batch_size=number)
        learner = MetaLearner(rule, MLP(), Regression(), outer_steps=1)
        learner._trainer = SimpleNamespace(is_global_zero=number == 5)  # type: ignore[assignment]
        with caplog.at_level(logging.INFO):
            learner.on_train_start()
    assert len(caplog.records) == 1
    assert "the 5 tasks of a meta-batch are taken in turn" in caplog.text

    def said(**settings: Any) -> str | None:
        return advice(Reptile(**SETTINGS, **settings))

    assert "meta-batch of 1 task leaves" in str(said())
    assert "larger algo.meta_batch_size" in str(said(meta_batch_size=5, parallel=True))
    assert said(meta_batch_size=128, parallel=True) is None
