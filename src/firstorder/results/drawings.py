"""The report's figures: measurements laid out as the paper's, drawn, written, and captioned."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from firstorder.results.cells import place
from firstorder.results.curves import learning_curves
from firstorder.results.page import Picture
from firstorder.results.paper import FIGURES, NON_TRANSDUCTIVE, TRANSDUCTIVE, Figure
from firstorder.results.run_folders import analysis_folders, read_config
from firstorder.results.runs import Runs
from firstorder.results.statistics import error_of

TITLES = {TRANSDUCTIVE: "transductive", NON_TRANSDUCTIVE: "non-transductive"}
FOLLOWED = {"test_tasks": "test tasks", "val": "validation tasks", "train_tasks": "training tasks"}


def draw_figure(
    artefact: str,
    groups: pd.DataFrame,
    runs: Runs,
    folder: Path,
    smoothing: float,
) -> list[Picture]:
    """Write a figure of Section 6 as SVG, PNG and CSV, one for each scale it was run at."""
    layout = FIGURES[artefact]
    placed = place(groups, artefact, layout.data)
    pictures: list[Picture] = []
    for (steps, full), here in placed.groupby(["steps", "iterations"]):
        stem = folder / (artefact if steps >= full else f"{artefact}_at_{steps}")
        if layout.is_sweep:
            picture: Picture | None = write_sweep(layout, here, stem)
        else:
            picture = write_curves(layout, here, runs, stem, smoothing)
        scale = "" if steps >= full else f"**Reduced scale: {steps:,} of {full:,} iterations.** "
        if picture:
            pictures.append(Picture(picture.path, scale + picture.caption))
    return pictures[::-1]  # full scale first


def write_curves(
    layout: Figure,
    groups: pd.DataFrame,
    runs: Runs,
    stem: Path,
    smoothing: float,
) -> Picture | None:
    """Write smoothed learning curves; nothing where no run has a curve."""
    from firstorder.figures.learning_curves import (
        draw_learning_curves,
    )  # matplotlib is slow to load
    from firstorder.figures.style import save

    curves = learning_curves(groups, runs, smoothing)
    if curves.empty:
        return None
    curves.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n", float_format="%.6g")
    looks = looks_of(layout, curves["series"])
    save(draw_learning_curves(curves, looks, TITLES, layout.axis), stem)
    prefix = curves["prefix"].iloc[0]
    caption = (
        f"Accuracy on {FOLLOWED.get(prefix, prefix)} while training, by the protocols of the final test."
        f" Each point is the mean of all measurements within {curves['width'].max() / 2:,.0f} outer"
        " iterations of it (a centred moving average, one-sided at the ends), for each seed; curves are"
        f" means over seeds, bands one standard deviation over seeds. The axis is logarithmic in the"
        f" error, 100 less the accuracy. {seeds_of(groups)}"
    )
    return Picture(
        stem.with_suffix(".svg"), f"{caption} {missing(layout, curves['series'])}{several(groups)}"
    )


def write_sweep(layout: Figure, groups: pd.DataFrame, stem: Path) -> Picture:
    """Write final accuracies against a hyper-parameter."""
    from firstorder.figures.style import save
    from firstorder.figures.sweep import draw_sweep

    errors = [error_of(std, ci95) for std, ci95 in zip(groups["std"], groups["ci95"], strict=True)]
    points = groups[["series", "protocol", "x", "mean", "std", "ci95", "tasks"]]
    points = points.assign(error=errors, seeds=groups["seeds"].map(len), group=groups["group"])
    points = points.sort_values(["series", "protocol", "x", "group"])
    points.to_csv(stem.with_suffix(".csv"), index=False, lineterminator="\n", float_format="%.6g")
    looks = looks_of(layout, points["series"])
    figure = draw_sweep(
        points, looks, TITLES, layout.axis, logarithmic=layout.logarithmic, bend=layout.bend
    )
    save(figure, stem)
    bend = f" Grey line: {layout.axis} {layout.bend:g}." if layout.bend else ""
    caption = (
        "Final test accuracy, mean over seeds. Error bars are the deviation over seeds, and no less than"
        f" the 95% interval over test tasks.{bend} {seeds_of(groups)}"
    )
    return Picture(
        stem.with_suffix(".svg"), f"{caption} {missing(layout, points['series'])}{several(groups)}"
    )


def looks_of(layout: Figure, present: pd.Series) -> dict[str, tuple[int, int]]:
    """Return how each curve looks: the paper's as laid out, others after them."""
    looks = dict(zip(layout.series, layout.looks, strict=True))
    others = sorted(set(present) - set(looks))
    return looks | {name: (len(looks) + i, 4) for i, name in enumerate(others)}


def seeds_of(groups: pd.DataFrame) -> str:
    """Say how many seeds the curves have."""
    counts = sorted({len(seeds) for seeds in groups["seeds"]})
    if counts == [1]:
        return "One seed each."
    return f"{' to '.join(str(n) for n in (counts[0], counts[-1])[: len(counts)])} seeds each."


def missing(layout: Figure, present: pd.Series) -> str:
    """Say which of the paper's curves were not run."""
    absent = [name for name in layout.series if name not in set(present)]
    return f"Not run: {'; '.join(absent)}." if absent else ""


def several(groups: pd.DataFrame) -> str:
    """Say where one place of the figure was run with several settings."""
    twice = groups[groups.duplicated(["series", "protocol", "x"], keep=False)]
    names = "; ".join(sorted(set(twice["series"])))
    return (
        f" Drawn once for each of several settings (`group` in the CSV file): {names}."
        if names
        else ""
    )


def copy_analyses(paths: Sequence[Path], analysis: str, stem: Path) -> list[Picture]:
    """Copy the figure of the last run of an analysis, "SineWave" or "Manifolds", if there is one."""
    pictures = []
    for name, folder in analysis_folders(paths).items():
        target = str(read_config(folder)["analysis"].get("_target_", ""))
        drawn = folder / f"{analysis.lower()}.png"
        if target.rpartition(".")[2] == analysis and drawn.is_file():
            for source in (drawn, drawn.with_suffix(".svg")):
                if source.is_file():
                    shutil.copyfile(source, stem.with_suffix(source.suffix))
            pictures = [Picture(stem.with_suffix(".png"), f"Drawn by the analysis in `{name}`.")]
    return pictures
