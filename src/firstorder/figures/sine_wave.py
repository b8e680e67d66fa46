"""Fits to one sine wave from several initialisations (Figure 1)."""

import pandas as pd
from matplotlib.figure import Figure

TITLES = {"random": "Random initialisation", "maml": "After MAML", "reptile": "After Reptile"}
BLUES = ("0.6", "#9ecae1", "#4292c6", "#08306b")  # from before training on the wave to its end


def draw_sine_wave(table: pd.DataFrame) -> Figure:
    """Draw a panel for each initialisation: the wave, its points, and the fits as steps go on."""
    names = list(dict.fromkeys(table.initialisation))
    figure = Figure(figsize=(4.6 * len(names), 4.2), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        rows = table[table.initialisation == name]
        wave, support = rows[rows.kind == "wave"], rows[rows.kind == "support"]
        axes.plot(wave.x, wave.y, "--", color="tab:red", linewidth=1.5, label="sine wave")
        for index, (steps, fit) in enumerate(rows[rows.kind == "fit"].groupby("steps")):
            label = {0: "before", 1: "1 step"}.get(int(steps), f"{steps} steps")
            color = BLUES[min(index, len(BLUES) - 1)]
            axes.plot(fit.x, fit.y, color=color, linewidth=1.8, label=label)
        axes.plot(support.x, support.y, "^", color="black", label=f"{len(support)} points seen")
        axes.set(title=TITLES.get(name, name), xlabel="x")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure
