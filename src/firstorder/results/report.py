"""From run folders to tables, figures, REPORT.md and one HTML page."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from firstorder.folders import filling
from firstorder.results import table as tables
from firstorder.results.cells import cells, reduced_cells
from firstorder.results.drawings import copy_analyses, draw_figure
from firstorder.results.page import Section, as_html, as_markdown
from firstorder.results.paper import FIGURES, TABLES
from firstorder.results.quarters import quarters, quarters_section
from firstorder.results.runs import FoundRuns, RunRecord, find_runs, read_run
from firstorder.results.sections import (
    comparison_section,
    findings_section,
    left_out_section,
    other_section,
    runs_section,
    sine_wave_section,
    summary_section,
    table_section,
)
from firstorder.results.settings import ReportSettings
from firstorder.results.statistics import summarise

TITLE = "On First-Order Meta-Learning Algorithms, measured again"


def write_report(settings: ReportSettings) -> FoundRuns:
    """Write the report; the same run records give the same bytes.

    Returns:
        the runs that were read, and those that were left out.

    Raises:
        ValueError: a folder is missing or cannot be written; a report that was there stays as it was.
    """
    runs_found = find_runs(
        [Path(path) for path in settings.runs],
        include_dirty=settings.include_dirty,
        include_failed=settings.include_failed,
    )
    asked = [read_asked(path) for path in settings.compare]
    with filling(Path(settings.out)) as out:
        write_into(out, runs_found, asked, settings)
    return runs_found


def read_asked(path: str) -> RunRecord:
    """Read a run that is to be compared.

    Raises:
        ValueError: it cannot be.
    """
    try:
        return read_run(Path(path), path)
    except ValueError as error:
        raise ValueError(f"compare: {path} cannot be compared: {error}") from error


def write_into(
    out: Path, runs_found: FoundRuns, asked: Sequence[RunRecord], settings: ReportSettings
) -> None:
    """Write all files of a report, two runs compared if they are asked for."""
    runs = {run.name: run for run in runs_found.runs}
    table = tables.tidy(runs_found.runs)
    groups = summarise(table, runs)
    drawn = out / "figures"
    drawn.mkdir()
    tables.write(table, out)
    compared, differences = comparison_section(groups, runs, asked)
    findings, measured = findings_section(groups, runs)
    rises = quarters(groups, runs)
    for name, frame in {
        "comparisons": differences, "findings": measured, "figure3_quarters": rises,
    }.items():  # fmt: skip
        write_csv(frame, out / f"{name}.csv")
    sections = [
        summary_section(runs_found),
        *(write_table(artefact, groups, runs, out) for artefact in TABLES),
        compared,
        findings,
        *analysis_sections(groups, runs, [Path(path) for path in settings.runs], drawn),
        *(
            figure_section(artefact, groups, runs, drawn, settings.smoothing)
            for artefact in FIGURES
        ),
        quarters_section(rises),
        other_section(groups, table, runs),
        runs_section(table, runs),
        left_out_section(runs_found),
    ]
    (out / "REPORT.md").write_text(as_markdown(TITLE, sections, out))
    (out / "report.html").write_text(as_html(TITLE, sections))


def write_table(
    artefact: str, groups: pd.DataFrame, runs: dict[str, RunRecord], out: Path
) -> Section:
    """Write a table of the paper's as CSV and Markdown, and return its section."""
    full, reduced = cells(groups, artefact, runs), reduced_cells(groups, artefact, runs)
    parts = [frame for frame in (full, reduced) if len(frame)]
    write_csv(pd.concat(parts, ignore_index=True), out / f"{artefact}.csv")
    section = table_section(artefact, groups, runs)
    (out / f"{artefact}.md").write_text(as_markdown(section.title, [section], out))
    return section


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; whole numbers stay whole where some are missing."""
    table.convert_dtypes().to_csv(path, index=False, lineterminator="\n", float_format="%.8g")


def analysis_sections(
    groups: pd.DataFrame, runs: dict[str, RunRecord], paths: Sequence[Path], folder: Path
) -> list[Section]:
    """Return the sections of Figures 1 and 2, which analyses draw."""
    waves = copy_analyses(paths, "SineWave", folder / "figure1")
    manifolds = copy_analyses(paths, "Manifolds", folder / "figure2")
    text = [] if manifolds else ["Not run: `python src/analyze.py analysis=manifolds`."]
    second = Section("Figure 2: manifolds of solutions", text, pictures=manifolds)
    return [sine_wave_section(groups, runs, waves), second]


def figure_section(
    artefact: str, groups: pd.DataFrame, runs: dict[str, RunRecord], folder: Path, smoothing: float
) -> Section:
    """Return the section of a figure of Section 6, its pictures written."""
    pictures = draw_figure(artefact, groups, runs, folder, smoothing)
    return Section(FIGURES[artefact].title, [] if pictures else ["Not run."], pictures=pictures)
