"""Test accuracy against training accuracy of amplified and plain steps."""

import pandas as pd
from matplotlib.figure import Figure

from firstorder.figures.style import look_of, panels


def draw_plain_learning(table: pd.DataFrame) -> Figure:
    """Draw a panel a step size: methods along the axis, test and training accuracy of every seed.

    Args:
        table: of `firstorder.analysis.PlainLearning`.
    """
    sizes, methods = sorted(set(table.alpha)), list(dict.fromkeys(table.method))
    figure, axes = panels(len(sizes), 3.2, 3.2)
    for place, alpha in zip(axes, sizes, strict=True):
        rows = table[table.alpha == alpha]
        for number, name in enumerate(("training accuracy", "test accuracy")):
            look = look_of((number, number)) | {"linestyle": "none"}
            at = [methods.index(method) for method in rows.method]
            place.plot(at, 100 * rows[name], label=name, **look)
        place.set_xticks(range(len(methods)), methods, rotation=45)
        place.set(title=f"alpha = {alpha:g}")
    axes[0].set_ylabel("accuracy, %")
    axes[0].legend()
    return figure
