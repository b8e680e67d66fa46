import numpy as np
import pandas as pd
import pytest

from firstorder.figures.learning_curves import accuracy, draw_learning_curves, log_error


def test_heights_are_ratios_of_the_error() -> None:
    percent = np.array([20.0, 60.0, 80.0, 90.0])
    np.testing.assert_allclose(np.diff(log_error(percent)), np.log10(2))
    np.testing.assert_allclose(accuracy(log_error(percent)), percent)


@pytest.mark.parametrize("levels", [[0.0, 0.5], [0.5, 1.0], [1.0, 1.0]])
def test_curves_from_nothing_to_all_right_are_drawn(levels: list[float]) -> None:
    table = pd.DataFrame(
        {
            "series": "g1", "group": "a", "protocol": "transductive", "step": [0, 1],
            "mean": levels, "std": np.nan,
        }
    )  # fmt: skip
    figure = draw_learning_curves(table, {"g1": (0, 0)}, {"transductive": "transductive"}, "step")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (line,) = axes.lines
    heights = axes.transData.transform(line.get_xydata())[:, 1]
    assert np.isfinite(heights).all()
    assert (axes.bbox.y0 <= heights).all()
    assert (heights <= axes.bbox.y1).all()
