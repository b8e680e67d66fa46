"""The answers behind the page, without a browser."""

import time
from pathlib import Path

import numpy as np
import pytest

from firstorder.demo.characters import Characters
from firstorder.demo.waves import GRID, STEPS, Waves
from firstorder.engine import set_engines
from firstorder.engines.build import has_compiler
from firstorder.engines.native import NativeSteps
from tests.conftest import ROOT

CHECKPOINT = ROOT / "docs" / "results" / "checkpoints" / "table2_5way_seed0.ckpt"
AS_TRAINED = {"inner_steps": None, "inner_batch_size": None, "inner_lr": None}
BUDGET = 0.2  # seconds of a processor's time: a page that answers later feels slow


@pytest.fixture(scope="module")
def characters() -> Characters:
    return Characters(CHECKPOINT, AS_TRAINED)


def drawing(seed: int) -> list[int]:
    """Return the grey values of a bar at some place."""
    picture = np.full((28, 28), 255)
    picture[3:25, 4 + 4 * seed : 7 + 4 * seed] = 0
    return [int(value) for value in picture.flatten()]


def test_the_curve_ends_where_the_library_does(characters: Characters) -> None:
    support = [drawing(seed) for seed in (0, 2, 4)]
    curve = np.array(characters.classify(support, drawing(2)))
    pictures = np.array(support, np.uint8).reshape(3, 1, 28, 28)
    adapted = characters.learner.adapt(pictures, ["a", "b", "c"])
    chances = adapted.probabilities(pictures[1:2])
    assert np.allclose(curve[-1], chances[0], atol=1e-5)
    assert curve.shape == (len(characters.steps), 3)
    assert np.allclose(curve[0], 1 / 3, atol=0.2)  # the new head prefers no class by itself
    assert curve[-1].argmax() == 1


@pytest.mark.skipif(not has_compiler("auto"), reason="the C++ steps need a compiler")
def test_an_answer_to_new_drawings_takes_no_longer_than_a_click(characters: Characters) -> None:
    set_engines(NativeSteps(required=True))
    try:
        took = []
        for seed in range(4):
            support = [drawing(place) for place in range(seed, seed + 3)]
            start = time.process_time()
            characters.classify(support, drawing(seed))
            took.append(time.process_time() - start)
    finally:
        set_engines()
    assert min(took) < BUDGET


@pytest.mark.parametrize(
    ("support", "sentence"),
    [
        ([drawing(0)], "draw 2 to 5 characters"),
        ([drawing(0)] * 6, "draw 2 to 5 characters"),
        ([drawing(0), drawing(1)[:-1]], "28 x 28 whole numbers"),
        ([drawing(0), [256] * 784], "from 0 to 255"),
    ],
)
def test_what_is_no_drawing_is_told_in_a_sentence(
    support: list[list[int]], sentence: str, characters: Characters
) -> None:
    with pytest.raises(ValueError, match=sentence):
        characters.classify(support, drawing(0))


def test_points_are_fitted_step_by_step(sine_checkpoint: Path) -> None:
    waves = Waves(sine_checkpoint)
    curves = np.array(waves.fit([[-2, 1.5], [0, 0.5], [3, -1]]))
    assert curves.shape == (len(STEPS), len(GRID))
    before, *_, after = (np.interp([-2, 0, 3], GRID[:, 0], curve) for curve in curves)
    wanted = np.array([1.5, 0.5, -1])
    assert ((after - wanted) ** 2).mean() < ((before - wanted) ** 2).mean()


@pytest.mark.parametrize("points", [[], [[1]], [[1, float("nan")]], [[0, 0]] * 21])
def test_what_are_no_points_is_told_in_a_sentence(points: list, sine_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="points are 1 to 20 pairs"):
        Waves(sine_checkpoint).fit(points)


def test_a_checkpoint_of_something_else_is_told_in_a_sentence(sine_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"sine_ckpt_path=.* was trained on Omniglot"):
        Waves(CHECKPOINT)
    with pytest.raises(ValueError, match="sine_ckpt_path=nowhere is not a file"):
        Waves("nowhere")
    with pytest.raises(ValueError, match=r"ckpt_path=.* was trained on Sinusoid"):
        Characters(sine_checkpoint, AS_TRAINED)
