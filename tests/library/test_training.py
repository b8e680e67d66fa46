"""A run that was called leaves what a run of the command leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import firstorder
from firstorder.results.runs import find_runs
from firstorder.task.episode import Episode
from tests.library.conftest import Draw, linear


def test_a_run_folder_is_that_of_the_command(draw: Draw, tmp_path: Path) -> None:
    source = firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12))
    settings = {"inner_steps": 2, "inner_batch_size": 4, "inner_lr": 0.1, "inner_optimizer": "sgd"}
    arguments = {
        "algo": firstorder.Reptile(**settings), "source": source, "model": linear, "steps": 4,
        "ways": 3, "progress": False, "log_every": 2, "folder": tmp_path / "run",
        "evaluation": firstorder.EvaluationSettings(tasks=6, monitor_every=2, monitor_tasks=2),
    }  # fmt: skip
    learner = firstorder.train(**arguments)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["steps"] == 4
    assert results["data"]["name"] == "arrays"
    assert results["data"]["classes"] == {"train": 8, "val": 0, "test": 6}
    assert "train_tasks/transductive" in (tmp_path / "run" / "metrics.csv").read_text()
    assert len(find_runs([tmp_path], include_dirty=True).runs) == 1
    again = firstorder.load(tmp_path / "run" / "checkpoints" / "last.ckpt", model=linear())
    for one in (learner, again):
        found = firstorder.evaluate(one, source)
        assert found["transductive"] == pytest.approx(
            {k: results["test"]["transductive"][k] for k in ("accuracy", "ci95", "tasks")}
        )
    with pytest.raises(ValueError, match="holds a run already"):
        firstorder.train(**arguments)


def test_classes_of_what_is_no_image_are_counted_in_the_figure_of_a_task(
    draw: Draw, tmp_path: Path
) -> None:
    train, test = (
        (x.reshape(len(x), -1), y) for x, y in (draw(range(8), 12), draw(range(8, 14), 12))
    )
    source = firstorder.ArraySource(train=train, test=test)
    firstorder.train(
        algo=firstorder.Reptile(inner_steps=2, inner_batch_size=4, inner_lr=0.1), source=source,
        model=linear, steps=1, ways=3, progress=False, folder=tmp_path / "run",
        evaluation=firstorder.EvaluationSettings(tasks=2, inner_steps=2, monitor_every=0),
    )  # fmt: skip
    assert (tmp_path / "run" / "figures" / "test_episode.png").is_file()
    episode = source.draw("test", np.random.default_rng(0), 3, 2, 1)
    with pytest.raises(ValueError, match="episodes of this data have no picture"):
        source.kind.draw_episodes([Episode(*map(torch.as_tensor, episode), *[torch.zeros(0)] * 2)])


def test_the_seed_decides_the_initialisation_and_the_episodes(draw: Draw) -> None:
    def phi(seed: int) -> list[float]:
        return firstorder.train(
            algo=firstorder.Reptile(inner_steps=2, inner_batch_size=4, inner_lr=0.1), model=linear,
            source=firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12)),
            steps=2, ways=3, seed=seed, progress=False,
            evaluation=firstorder.EvaluationSettings(monitor_every=0),
        ).trained.phi.tolist()  # fmt: skip

    assert phi(1) == phi(1) != phi(2)


def test_what_is_no_part_of_a_run_is_named(draw: Draw) -> None:
    source = firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12))
    algo = firstorder.Reptile(inner_steps=2, inner_batch_size=4, inner_lr=0.1)
    for wrong, sentence in (
        ({"algo": "reptile"}, r"algo='reptile' must be an algorithm, such as firstorder.Reptile"),
        ({"source": "glyphs"}, "source='glyphs' must be a source of tasks"),
        ({"model": None}, "model=None must be a network"),
        ({"evaluation": {"tasks": 3}}, "must be firstorder.EvaluationSettings"),
        ({"shots": 0}, "shots=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
    ):
        given = {"algo": algo, "source": source, "model": linear, "steps": 1, "ways": 3, **wrong}
        with pytest.raises(ValueError, match=sentence):
            firstorder.train(**given, progress=False)


def test_a_setting_that_is_not_known_is_named_with_the_nearest(draw: Draw) -> None:
    source = firstorder.ArraySource(train=draw(range(8), 12), test=draw(range(8, 14), 12))
    algo = firstorder.Reptile(inner_steps=2, inner_batch_size=4, inner_lr=0.1)
    given = {"algo": algo, "source": source, "model": linear, "steps": 1, "ways": 3}
    with pytest.raises(TypeError, match="train has no setting progres, did you mean progress"):
        firstorder.train(**given, progres=False)
    learner = firstorder.train(**given, progress=False)
    with pytest.raises(TypeError, match="evaluate has no setting task, did you mean tasks"):
        firstorder.evaluate(learner, source, task=3)
