"""What a run folder shows of its run: how it learnt, and how it adapts."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from firstorder.figures.style import COLORS, RC

Curve = Sequence[tuple[int, float]]
LOSSES = {"train/loss_before": "at the first inner step", "train/loss_after": "at the last"}
PLACES = {"val": "validation tasks", "train_tasks": "training classes", "test_tasks": "test tasks"}


@mpl.rc_context(RC)
def draw_learning(curves: Mapping[str, Curve], measure: str) -> Figure:
    """Draw the inner loss, and the score on the tasks that training was followed on.

    Args:
        curves: by name, "train/loss_before", "train/loss_after", "<place>/<protocol>": points
            (outer iteration, value); what has none is left out.
        measure: what a score is.
    """
    losses = {words: curves[name] for name, words in LOSSES.items() if curves.get(name)}
    scores = {
        f"{protocol.replace('_', '-')}, {PLACES[place]}": points
        for name, points in curves.items()
        for place, _, protocol in [name.partition("/")]
        if place in PLACES and points
    }
    wanted = {"inner loss of an example": losses, measure: scores}
    drawn = {title: lines for title, lines in wanted.items() if lines}
    figure = Figure(figsize=(4.6 * max(len(drawn), 1), 3.4), layout="constrained")
    places = figure.subplots(1, max(len(drawn), 1), squeeze=False)[0]
    for axes, (title, lines) in zip(places, drawn.items(), strict=False):
        for color, (name, points) in zip(COLORS, lines.items(), strict=False):
            axes.plot(*zip(*points, strict=True), "o-", markersize=3, color=color, label=name)
        axes.set(xlabel="outer iteration", ylabel=title)
        axes.legend(fontsize=8)
    return figure


@mpl.rc_context(RC)
def draw_adaptation(curve: Mapping[str, Any], measure: str) -> Figure:
    """Draw the mean score after each number of inner steps, with its 95% interval over tasks.

    Args:
        curve: {"steps": [0, 1, ...], "tasks": n, "ci95": {protocol: [...]}, protocol: [mean, ...], ...}.
        measure: what a score is.
    """
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    axes, steps = figure.subplots(), np.array(curve["steps"])
    for color, (protocol, ci95) in zip(COLORS, curve["ci95"].items(), strict=False):
        mean = np.array(curve[protocol])
        band = np.where(np.isfinite(mean), ci95, 0)
        label = protocol.replace("_", "-")
        axes.plot(steps, mean, "o-", markersize=3, color=color, label=label)
        axes.fill_between(steps, mean - band, mean + band, color=color, alpha=0.15, linewidth=0)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks(steps, [str(step) for step in steps], minor=False)
    axes.set(xlabel="inner step", ylabel=f"{measure} on {curve['tasks']} test tasks")
    axes.legend(fontsize=8)
    return figure
