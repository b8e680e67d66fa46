from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch import nn

from firstorder.algo import Reptile
from firstorder.algo.evaluation import EvaluationSettings
from firstorder.data.datamodule import EpisodeDataModule
from firstorder.data.sinusoid import Sinusoid
from firstorder.model import MLP
from firstorder.run.learner import MetaLearner, NotFiniteError
from firstorder.task import Named, Regression

SETTINGS = {"inner_steps": 2, "inner_batch_size": 5, "inner_lr": 0.01, "loss_reduction": "mean"}
EVALUATION = EvaluationSettings(tasks=4, inner_steps=2, monitor_tasks=2, query_shots=6, batch=2)


def waves(algorithm: Reptile, steps: int) -> EpisodeDataModule:
    """Serve tasks of ten points of a sine wave, five of them at evaluation."""
    return EpisodeDataModule(
        Sinusoid(),
        algorithm,
        EVALUATION,
        seed=0,
        ways=1,
        shots=5,
        train_shots=10,
        outer_steps=steps,
    )


def fit(algorithm: Reptile, steps: int = 3, module: nn.Module | None = None) -> MetaLearner:
    torch.manual_seed(0)
    learner = MetaLearner(algorithm, module or MLP(hidden=[8]), Regression(), outer_steps=steps)
    data = waves(algorithm, steps)
    trainer = Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, limit_val_batches=0, inference_mode=False,
    )  # fmt: skip
    trainer.fit(learner, data)
    return learner


def test_the_outer_step_size_falls_linearly_and_its_last_is_not_zero() -> None:
    """eps_i = eps_0 (1 - i/N) + eps_N i/N for i = 0..N-1."""
    learner = MetaLearner(Reptile(**SETTINGS, outer_lr=2.0), MLP(), Regression(), outer_steps=4)
    assert [learner.algorithm.outer_lr_at(learner.context(i)) for i in range(4)] == [
        2.0,
        1.5,
        1.0,
        0.5,
    ]
    falling = Reptile(**SETTINGS, outer_lr=2.0, outer_lr_final=1.0)
    learner = MetaLearner(falling, MLP(), Regression(), outer_steps=4)
    assert learner.algorithm.outer_lr_at(learner.context(3)) == 1.25


def test_outer_sgd_is_the_papers_interpolation() -> None:
    """One iteration at epsilon = 1 ends at the adapted weights themselves (Algorithm 1)."""
    algorithm = Reptile(**SETTINGS, inner_optimizer="sgd")
    learner = fit(algorithm, steps=1)
    data = waves(algorithm, 1)
    data.setup()
    phi = learner.network.initial()
    task = data.training_sampler()[0]
    for x, y in task.support_batches():
        gradient = torch.func.grad(learner.loss)(phi, x, y)
        phi = phi - 0.01 * gradient
    torch.testing.assert_close(learner.phi.detach(), phi, rtol=1e-5, atol=1e-6)


def test_the_inner_state_counts_the_steps_of_all_tasks() -> None:
    learner = fit(Reptile(**SETTINGS, meta_batch_size=3), steps=4)
    assert learner.inner_state[2] == 4 * 3 * 2
    assert "inner_state_1" in learner.state_dict()


def test_any_torch_optimizer_takes_the_outer_step() -> None:
    adam = Reptile(**SETTINGS, outer_optimizer="Adam", outer_lr=0.01, outer_options={"eps": 1e-4})
    learner = fit(adam, steps=1)
    moved = (learner.phi - learner.network.initial()).abs()
    assert 0.009 < moved.max() <= 0.01  # Adam's first step is its learning rate


def test_the_first_weights_are_the_modules_own_and_stay_in_it() -> None:
    module = MLP(hidden=[8])
    before = [p.clone() for p in module.parameters()]
    fit(Reptile(**SETTINGS), module=module)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))


def test_an_update_that_is_not_finite_stops_before_it_is_taken() -> None:
    module = MLP(hidden=[8])
    with torch.no_grad():
        module.layers[0].weight.fill_(float("nan"))  # type: ignore[operator]
    with pytest.raises(NotFiniteError, match="outer iteration 0 is not finite"):
        fit(Reptile(**SETTINGS), module=module)


def test_a_learner_is_rebuilt_from_its_checkpoint_alone(tiny_run: Path) -> None:
    path = tiny_run / "checkpoints" / "last.ckpt"
    learner = MetaLearner.load_from_checkpoint(path)
    assert learner.algorithm.name == "reptile"
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert torch.equal(learner.phi, saved["meta_parameters.phi"])


def test_frozen_weights_come_back_with_the_checkpoint() -> None:
    def learner() -> MetaLearner:
        module = MLP(hidden=[8])
        module.layers[0].weight.requires_grad_(False)  # type: ignore[operator]
        return MetaLearner(Reptile(**SETTINGS), module, Regression(), outer_steps=1)

    torch.manual_seed(0)
    one, other = learner(), learner()
    checkpoint = {"state_dict": one.state_dict()}
    one.on_save_checkpoint(checkpoint)
    other.restore(checkpoint)
    x = torch.rand(3, 1)
    assert torch.equal(other.network(other.phi, x), one.network(one.phi, x))


def test_evaluation_leaves_the_weights_and_the_inner_state_alone() -> None:
    algorithm = Reptile(**SETTINGS)
    learner = fit(algorithm)
    before = [tensor.clone() for tensor in (learner.phi, *learner.inner_state)]
    data = waves(algorithm, 1)
    first, _ = learner.evaluate(data.test_dataloader().batches[0])
    again, _ = learner.evaluate(data.test_dataloader().batches[0])
    assert torch.equal(first["mse"], again["mse"])
    after = (learner.phi, *learner.inner_state)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_loss_that_does_not_fit_the_tasks_is_told_before_training() -> None:
    algorithm = Reptile(**SETTINGS)  # type: ignore[arg-type]
    learner = MetaLearner(algorithm, MLP(), Named(False, loss="BCELoss"), outer_steps=1)
    trainer = Trainer(max_steps=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    with pytest.raises(ValueError, match=r"data\.source\.loss=BCELoss does not go"):
        trainer.fit(learner, waves(algorithm, 1))
