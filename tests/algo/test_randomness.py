"""What a network draws at random depends on the seed and the episode, and on nothing else."""

from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer
from torch import nn

from firstorder.algo import MAML, MetaAlgorithm, Reptile
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.sinusoid import Sinusoid
from firstorder.run.learner import MetaLearner
from firstorder.run.saving import LAST
from firstorder.run.trainer import TrainerConfig, build_trainer

SETTINGS = {
    "inner_steps": 3, "inner_batch_size": 5, "inner_lr": 0.01, "inner_optimizer": "sgd",
    "meta_batch_size": 2, "outer_lr": 0.1,
}  # fmt: skip


class Fail(Callback):
    def on_train_batch_start(self, trainer: Trainer, *args: object) -> None:
        if trainer.global_step == 2:
            raise RuntimeError("the machine went away")


def learner_and_data(
    algorithm: MetaAlgorithm, batch: int = 2
) -> tuple[MetaLearner, EpisodeDataModule]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 1))
    source = Sinusoid()
    settings = EvaluationSettings(tasks=4, inner_steps=2, query_shots=6, batch=batch)
    learner = MetaLearner(algorithm, module, source.kind, outer_steps=4, evaluation=settings)
    data = EpisodeDataModule(
        source, algorithm, settings, seed=0, ways=1, shots=5, train_shots=10, outer_steps=4,
    )  # fmt: skip
    return learner, data


@pytest.mark.parametrize("parallel", [False, True])
def test_a_network_with_dropout_resumes_to_the_same_bits(parallel: bool, tmp_path: Path) -> None:
    def fit(folder: Path, *extra: Callback, noise: int, resume: bool = False) -> torch.Tensor:
        learner, data = learner_and_data(Reptile(**SETTINGS, parallel=parallel))
        torch.manual_seed(noise)  # what else is drawn in the process must not matter
        config = TrainerConfig(
            max_steps=4, accelerator="cpu", progress=False, compile="never", checkpoint_every=1
        )
        trainer = build_trainer(folder, [], config)
        trainer.callbacks.extend(extra)  # type: ignore[attr-defined]
        trainer.fit(learner, data, ckpt_path=folder / "checkpoints" / LAST if resume else None)
        return learner.phi.detach()

    whole = fit(tmp_path / "whole", noise=1)
    with pytest.raises(RuntimeError, match="went away"):
        fit(tmp_path / "died", Fail(), noise=2)
    assert torch.equal(fit(tmp_path / "died", noise=3, resume=True), whole)


def test_scores_do_not_depend_on_the_tasks_beside() -> None:
    scores = []
    for batch in (1, 2, 4):
        learner, data = learner_and_data(Reptile(**SETTINGS), batch)
        data.setup()
        each = [learner.evaluate(tasks)[0]["mse"] for tasks in data.test_dataloader()]
        scores.append(torch.cat(each))
    assert torch.equal(scores[0], scores[1])
    assert torch.equal(scores[0], scores[2])


def test_maml_differentiates_through_dropout() -> None:
    learner, data = learner_and_data(MAML(**SETTINGS, tail_shots=2))
    data.setup()
    tasks = next(iter(data.train_dataloader())).to_float()
    found = learner.algorithm.meta_batch(
        learner.loss, learner.meta, learner.inner_state, tasks, learner.context()
    )
    assert found.direction["phi"].isfinite().all()
