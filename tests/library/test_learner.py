"""What a program can do with what was learnt."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import firstorder
from firstorder.data import Arrays
from tests.library.conftest import Draw, linear

SETTINGS = {"inner_steps": 2, "inner_batch_size": 4, "inner_lr": 0.1, "inner_optimizer": "sgd"}


def test_new_classes_are_told_apart_by_their_own_names(
    learner: firstorder.Learner, draw: Draw
) -> None:
    before = learner.trained.phi.clone()
    adapted = learner.adapt(*draw(range(20, 23), 4))
    more, names = draw(range(20, 23), 9)
    assert adapted.classes == ["class 20", "class 21", "class 22"]
    assert adapted.predict(more) == names.tolist()
    probabilities = adapted.probabilities(more)
    assert probabilities.shape == (27, 3)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-6)
    assert torch.equal(learner.trained.phi, before)


def test_adapting_is_the_inner_loop(learner: firstorder.Learner, draw: Draw) -> None:
    x, y = draw(range(20, 23), 4)
    adapted = learner.adapt(x, y, steps=1, batch_size=12, lr=0.5)
    network, phi = learner.trained.network, learner.trained.phi.detach().clone().requires_grad_()
    targets = torch.tensor([0, 1, 2]).repeat_interleave(4)
    loss = nn.functional.cross_entropy(network(phi, torch.from_numpy(x) / 255), targets)
    (gradient,) = torch.autograd.grad(loss, phi)
    assert torch.allclose(adapted.phi, phi - 0.5 * gradient, atol=1e-6)


@pytest.mark.parametrize("ways", [2, 5])
def test_another_number_of_classes_gets_a_head_of_its_own(
    ways: int, learner: firstorder.Learner, draw: Draw
) -> None:
    classes = range(20, 20 + ways)
    adapted = learner.adapt(*draw(classes, 4), steps=30)
    more, names = draw(classes, 9)
    assert adapted.predict(more) == names.tolist()
    head = learner.adapt(*draw(classes, 4), steps=1, lr=1e-9).phi.view(ways, 37 * ways // ways)
    assert head.shape == (ways, 37)  # before a step, every class has the same weights


def test_what_is_kept_for_each_weight_grows_with_the_head(draw: Draw) -> None:
    learner = firstorder.train(
        algo=firstorder.MetaSGD(**SETTINGS, tail_shots=2, outer_lr=0.01, outer_optimizer="Adam"),
        source=firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12)),
        model=linear, steps=2, ways=3, progress=False,
        evaluation=firstorder.EvaluationSettings(monitor_every=0, inner_steps=10),
    )  # fmt: skip
    more, names = draw(range(20, 24), 9)
    assert learner.adapt(*draw(range(20, 24), 4)).predict(more) == names.tolist()


def test_a_network_without_a_linear_head_refuses_other_ways(draw: Draw) -> None:
    def convolution() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 3, 6), nn.Flatten())

    learner = firstorder.train(
        algo=firstorder.Reptile(**SETTINGS), model=convolution, steps=1, ways=3, progress=False,
        source=firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12)),
        evaluation=firstorder.EvaluationSettings(monitor_every=0),
    )  # fmt: skip
    with pytest.raises(
        ValueError, match="tasks of 3 classes: give 3, not 4; Sequential does not end"
    ):
        learner.adapt(*draw(range(4), 2))


def test_a_saved_learner_is_loaded_as_it_was(
    learner: firstorder.Learner, draw: Draw, tmp_path: Path
) -> None:
    path = tmp_path / "mine.ckpt"
    learner.save(path)
    with pytest.raises(ValueError, match=r"does not tell how its network .*Sequential is built"):
        firstorder.load(path)
    again = firstorder.load(path, model=linear())
    x, y = draw(range(20, 23), 4)
    assert torch.equal(again.adapt(x, y).phi, learner.adapt(x, y).phi)


def test_numbers_are_predicted_where_the_task_is_a_regression(tmp_path: Path) -> None:
    trained = firstorder.train(
        algo=firstorder.Reptile(**SETTINGS, loss_reduction="mean"), source=firstorder.Sinusoid(),
        model=lambda: firstorder.MLP(hidden=[8]), steps=1, ways=1, progress=False,
        evaluation=firstorder.EvaluationSettings(monitor_every=0, inner_batch_size=10),
    )  # fmt: skip
    trained.save(tmp_path / "wave.ckpt")
    learner = firstorder.load(
        tmp_path / "wave.ckpt"
    )  # an MLP and a sine wave tell all of themselves
    x = np.linspace(-1, 1, 20)[:, None]
    fitted = learner.adapt(x, 2 * x, steps=200)
    assert np.abs(fitted.predict(x) - 2 * x).max() < 0.5
    flat = learner.adapt(x, 2 * x[:, 0], steps=200)  # numbers without an axis of outputs
    assert torch.equal(flat.phi, fitted.phi)
    with pytest.raises(ValueError, match=r"a target has shape \(2,\), and .* outputs have \(1,\)"):
        learner.adapt(x, np.zeros((20, 2)))
    with pytest.raises(ValueError, match="targets hold NaN"):
        learner.adapt(x, x * np.nan)
    with pytest.raises(ValueError, match=r"an input has shape \(2,\).*trained on \(1,\)"):
        fitted.predict(np.zeros((3, 2)))


def test_examples_and_predictions_are_in_the_units_of_the_data(tmp_path: Path) -> None:
    seconds, folder = 1_700_000_000 + np.arange(20.0), tmp_path / "tasks"
    folder.mkdir()
    for number in range(5):
        np.savez(folder / f"{number}.npz", x=seconds, y=-2000 * seconds)
    trained = firstorder.train(
        algo=firstorder.Reptile(**SETTINGS, loss_reduction="mean"),
        source=Arrays(str(folder), standardise=True), model=lambda: firstorder.MLP(hidden=[8]),
        steps=1, ways=1, progress=False,
        evaluation=firstorder.EvaluationSettings(monitor_every=0, inner_batch_size=10),
    )  # fmt: skip
    trained.save(tmp_path / "seconds.ckpt")
    for learner in (trained, firstorder.load(tmp_path / "seconds.ckpt")):
        fitted = learner.adapt(seconds[:, None], -2000 * seconds, steps=200)
        found = fitted.predict(seconds[:, None])[:, 0]
        assert np.abs(found + 2000 * seconds).max() < 0.5 * 2000 * seconds.std()
    with pytest.raises(ValueError, match="trained on standardised numbers"):
        firstorder.evaluate(trained, Arrays(str(folder)), tasks=2)


def test_what_does_not_fit_is_said_in_a_sentence(learner: firstorder.Learner, draw: Draw) -> None:
    x, y = draw(range(3), 2)
    for inputs, labels, sentence in (
        (x, y[:4], "6 examples and 4 labels"),
        (x[:2], y[:2], "of 1 class, and a task has 2 or more"),
        (x.astype(int), y, "inputs are int64: give them as uint8 or as floats"),
        (x.astype(float), y, "wanted in .0, 1., and these go up to 2"),
    ):
        with pytest.raises(ValueError, match=sentence):
            learner.adapt(inputs, labels)
    good = x / np.float32(255)
    for inputs, labels, changes, sentence in (
        (x, y, {"steps": 0}, "steps=0 must be at least 1"),
        (x, y, {"batch_size": -1}, "batch_size=-1 must be at least 1"),
        (x, y, {"lr": float("nan")}, "lr=nan must be finite"),
        (good * np.nan, y, {}, "inputs hold NaN or infinity"),
        (x, ["a", 1] * 3, {}, "labels are wanted one an example, all of one type"),
        (x, np.zeros((6, 2)), {}, "labels are wanted one an example"),
        (x, [0, float("nan"), 1] * 2, {}, "a label is NaN"),
        ([], [], {}, "there are no inputs: give one or more"),
        ([x[0], x[0, :, :2]], y[:2], {}, "the inputs are of several shapes"),
    ):
        with pytest.raises(ValueError, match=sentence):
            learner.adapt(inputs, labels, **changes)
    with pytest.raises(ValueError, match="there are no inputs to predict"):
        learner.adapt(x, y).predict(x[:0])
    with pytest.raises(ValueError, match="diverged"):
        learner.adapt(x / 255, y, lr=1e38, steps=5).predict(x)
