"""The figures of a run folder show the numbers that they are given."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from firstorder.figures.example import draw_image, raster
from firstorder.figures.run_curves import draw_adaptation, draw_learning
from firstorder.task.episode import Episode


def test_the_adaptation_curve_has_a_band_over_tasks() -> None:
    curve = {"steps": [0, 1, 5], "tasks": 7, "ci95": {"mse": [0.5, 0.25, 0.1]}, "mse": [3, 2, 1]}
    (axes,) = draw_adaptation(curve, "mse").axes
    assert axes.lines[0].get_ydata().tolist() == [3, 2, 1]
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(0.9)
    assert band[:, 1].max() == pytest.approx(3.5)
    assert axes.get_ylabel() == "mse on 7 test tasks"


def test_the_learning_curve_shows_losses_and_validation_and_leaves_out_what_is_not_there() -> None:
    curves = {"train/loss_before": [(1, 2.0), (3, 1.5)], "val/transductive": [(2, 0.5)],
              "train/outer_lr": [(1, 1.0)]}  # fmt: skip
    losses, scores = draw_learning(curves, "accuracy").axes
    assert losses.lines[0].get_ydata().tolist() == [2.0, 1.5]
    assert scores.lines[0].get_label() == "transductive, validation tasks"
    assert len(draw_learning({"val/mse": [(2, 0.5)]}, "mse").axes) == 1


def test_colours_of_coordinates_are_an_image_whatever_the_order_of_the_points() -> None:
    grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(2.0))
    shuffled = grid[torch.tensor([4, 0, 5, 2, 1, 3])]
    order, width = raster(shuffled) or (torch.zeros(0), 0)
    assert width == 3
    assert shuffled[order].tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    assert raster(grid[:5]) is None
    assert raster(torch.rand(6, 3)) is None
    colours = torch.rand(6, 3)
    none = torch.zeros(0)
    task = Episode(none, none, shuffled, colours, none, none)
    figure = draw_image(task, {"after reptile": [(0, colours), (5, colours)]}, order, width)
    assert len(figure.axes) == 3
    assert torch.equal(
        torch.tensor(figure.axes[0].images[0].get_array()), colours[order].view(2, 3, 3)
    )


def test_a_run_folder_holds_its_figures_and_the_table_the_steps_between(tiny_run: Path) -> None:
    for name in ("test_episode", "learning", "adaptation"):
        assert Image.open(tiny_run / "figures" / f"{name}.png").width > 300
    said = (tiny_run / "stdout.txt").read_text()
    assert ["test", "mean", "±", "95%", "tasks", "0", "1", "3"] in [
        line.split() for line in said.splitlines()
    ]
    assert "0, 1, 3: after so many inner steps, on the first 6 tasks" in said
