"""Every algorithm goes on from a checkpoint to the bits of a run that was never stopped."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from lightning import Callback, Trainer

import firstorder.cli.resolvers  # noqa: F401 (registers them)
from firstorder.cli.assembly import assemble, plain
from firstorder.cli.schema import register
from firstorder.places import CONF
from firstorder.run.learner import MetaLearner
from firstorder.run.metrics_file import MetricsFile
from firstorder.run.saving import LAST
from firstorder.run.trainer import TrainerConfig, build_trainer

ALGORITHMS = sorted(path.stem for path in (CONF / "algo").glob("*.yaml"))


class Fail(Callback):
    """Die in the middle of the fourth iteration."""

    def on_train_batch_start(self, trainer: Trainer, *args: object) -> None:
        if trainer.global_step == 3:
            raise RuntimeError("the machine went away")


def fit(algo: str, folder: Path, *extra: Callback, resume: bool = False) -> MetaLearner:
    register()
    inner = "sgd" if algo in ("meta_sgd", "mamlpp") else "adam"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "train",
            [f"algo={algo}", "data=sinusoid", "trainer.max_steps=6", "algo.meta_batch_size=2",
             f"algo.inner_optimizer={inner}", "algo.parallel=false", "trainer.progress=false",
             "trainer.accelerator=cpu", "trainer.compile=never", "trainer.log_every=4",
             "eval.monitor_tasks=1", "eval.batch=1"],
        )  # fmt: skip
    torch.manual_seed(0)
    learner, data = assemble(cfg, {})
    folder.mkdir(exist_ok=True)
    lines = MetricsFile(folder / "metrics.csv", 3 if resume else 0)
    trainer = build_trainer(folder, [lines], TrainerConfig(**plain(cfg.trainer)), monitor_every=3)
    trainer.callbacks.extend(extra)  # type: ignore[attr-defined]
    trainer.fit(learner, data, ckpt_path=folder / "checkpoints" / LAST if resume else None)
    return learner


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_run_that_died_ends_with_the_same_bits(algo: str, tmp_path: Path) -> None:
    whole = fit(algo, tmp_path / "whole")
    with pytest.raises(RuntimeError, match="went away"):
        fit(algo, tmp_path / "died", Fail())
    resumed = fit(algo, tmp_path / "died", resume=True)
    one, other = whole.state_dict(), resumed.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.objective("val") == whole.objective("val")
    files = [(tmp_path / name / "metrics.csv").read_text() for name in ("whole", "died")]
    assert files[0] == files[1]
