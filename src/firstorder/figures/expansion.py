"""The expansion of Section 5.1: predicted as lines, measured as points."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = {"MAML": "tab:blue", "FOMAML": "tab:orange", "Reptile": "tab:green"}
SHADES = {"MAML": "Blues", "FOMAML": "Oranges", "Reptile": "Greens"}
FORMULAS = {"MAML": r"2(k-1)", "FOMAML": r"k-1", "Reptile": r"\frac{1}{2}k(k-1)"}


def draw_expansion(table: pd.DataFrame) -> Figure:
    """Draw coefficients against alpha, the ratio against k, and what the expansion leaves out."""
    figure = Figure(figsize=(13, 8), layout="constrained")
    figure.suptitle(
        r"$\mathrm{E}[g] = a\,\mathrm{AvgGrad} - b\,\alpha\,\mathrm{AvgGradInner} + O(\alpha^2)$:"
        "  lines are Eq. 33-41, points are measured",
        fontsize=14,
    )
    above, below = figure.subplots(2, 3)
    for axes, (algorithm, rows) in zip(above, table.groupby("algorithm", sort=False), strict=True):
        draw_coefficients(axes, str(algorithm), rows)
    draw_ratio(below[0], table)
    draw_error(below[1], table)
    draw_remainder(below[2], table)
    for axes in (*above, *below):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def shade(algorithm: str, k: int, ks: list[int]) -> tuple[float, ...]:
    """Return the colour of an algorithm at k inner steps, darker for more."""
    share = (k - min(ks)) / max(max(ks) - min(ks), 1)
    color: tuple[float, ...] = colormaps[SHADES[algorithm]](0.35 + 0.6 * share)
    return color


def draw_coefficients(axes: Axes, algorithm: str, table: pd.DataFrame) -> None:
    """Draw the coefficient b of one algorithm against alpha, a colour for each k."""
    ks = sorted(table.k.unique())
    for k, rows in table.groupby("k"):
        color, level = shade(algorithm, k, ks), rows.avg_grad_inner_predicted.iloc[0]
        axes.axhline(level, color=color, linewidth=1.2)
        axes.semilogx(rows.alpha, rows.avg_grad_inner, "o", color=color, markersize=5)
        axes.annotate(
            f"k={k}", (1.01, level), xycoords=("axes fraction", "data"), va="center", color=color
        )
    axes.set_title(rf"{algorithm}: $b = {FORMULAS[algorithm]}$", color=COLORS[algorithm])
    axes.set_xlabel(r"inner step size $\alpha$")
    axes.set_ylabel(r"$b$, coefficient of $-\alpha$ AvgGradInner")
    axes.set_ylim(0, None)


def draw_ratio(axes: Axes, table: pd.DataFrame) -> None:
    """Draw b / a against k at the smallest alpha: MAML above FOMAML above Reptile."""
    smallest = table[table.alpha == table.alpha.min()]
    for algorithm, rows in smallest.groupby("algorithm", sort=False):
        color = COLORS[str(algorithm)]
        axes.plot(rows.k, rows.avg_grad_inner_predicted / rows.avg_grad_predicted, color=color)
        axes.plot(rows.k, rows.avg_grad_inner / rows.avg_grad, "o", color=color, label=algorithm)
    axes.set_title("How much weight on generalising within a task")
    axes.set_xlabel(r"inner steps $k$")
    axes.set_ylabel(r"$b\,/\,a$, AvgGradInner to AvgGrad")
    axes.legend(frameon=False)


def draw_error(axes: Axes, table: pd.DataFrame) -> None:
    """Draw how far the fitted b is from the prediction, against alpha."""
    ks = sorted(table.k.unique())
    for (algorithm, k), rows in table.groupby(["algorithm", "k"], sort=False):
        error = (rows.avg_grad_inner / rows.avg_grad_inner_predicted - 1).abs()
        label = algorithm if k == ks[-1] else None
        color = shade(algorithm, k, ks)
        axes.loglog(rows.alpha, error, "o-", markersize=3, linewidth=1, color=color, label=label)
    axes.axhline(0.01, color="0.3", linestyle="--", linewidth=1)
    axes.annotate("1%", (table.alpha.min(), 0.0115), color="0.3")
    axes.set_title(r"Relative error of $b$, falling as $\alpha$")
    axes.set_xlabel(r"inner step size $\alpha$")
    axes.set_ylabel(r"$|b_\mathrm{measured} / b_\mathrm{predicted} - 1|$")
    axes.legend(frameon=False)


def draw_remainder(axes: Axes, table: pd.DataFrame) -> None:
    """Draw what the expansion leaves out against alpha, beside lines of slope 2."""
    ks = sorted(table.k.unique())
    for (algorithm, k), rows in table.groupby(["algorithm", "k"], sort=False):
        axes.loglog(rows.alpha, rows.remainder, "o", markersize=3.5, color=shade(algorithm, k, ks))
    alphas = np.array([table.alpha.min(), table.alpha.max()])
    smallest = table[table.alpha == alphas[0]].remainder
    for level in (smallest.min(), smallest.max()):
        axes.loglog(alphas, level * (alphas / alphas[0]) ** 2, "--", color="0.3", linewidth=1)
    axes.annotate(
        r"slope 2", (alphas.prod() ** 0.5, smallest.max() * alphas[1] / alphas[0]), color="0.3",
        xytext=(-8, 8), textcoords="offset points", ha="right",
    )  # fmt: skip
    axes.set_title(r"What is left out falls as $\alpha^2$")
    axes.set_xlabel(r"inner step size $\alpha$")
    axes.set_ylabel(r"$|\mathrm{E}[g] - \mathrm{expansion}|\,/\,|\mathrm{AvgGrad}|$")
