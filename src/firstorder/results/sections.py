"""What the report says, section by section."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from firstorder.results.cells import NOT_RUN, cells, place, reduced_cells, unlike
from firstorder.results.comparisons import compare_runs, table_comparisons
from firstorder.results.content import measure_of
from firstorder.results.findings import findings
from firstorder.results.page import Picture, Section
from firstorder.results.paper import FIGURES, SINE_WAVES, TABLES
from firstorder.results.runs import FoundRuns, RunRecord, Runs
from firstorder.results.table import told_apart
from firstorder.results.words import (
    duration,
    in_detail,
    in_short,
    overview,
    score,
    side_by_side,
)

HOW = [
    "**Ours** is the mean over seeds; behind ± stands the standard deviation over seeds, which one seed"
    " does not have. Separately, **± 95% over tasks** is 1.96 standard errors over the test tasks of all"
    " seeds pooled. The paper's ± is a deviation over three seeds for Reptile, and a 95% interval over"
    " tasks for the rows taken from Finn et al.",
    "The **joint error** is sqrt(ours² + paper²), where ours is the deviation over seeds, and no less"
    " than the interval over tasks. Runs with fewer outer iterations than published stand in tables of"
    " their own. Seeds are averaged only where all other settings that can move a number are equal.",
]


def count(number: int, noun: str) -> str:
    """Write a number and its noun: "1 run", "2 runs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def summary_section(runs_found: FoundRuns) -> Section:
    """Say what was read, and how to read it."""
    left = count(len(runs_found.left_out), "run")
    first = f"{count(len(runs_found.runs), 'run')} read, {left} left out (listed at the end)."
    return Section("How to read this", [first, *HOW])


def table_section(artefact: str, groups: pd.DataFrame, runs: Runs) -> Section:
    """Show a table of the paper's with ours beside it."""
    layout, full = TABLES[artefact], cells(groups, artefact, runs)
    section = Section(layout.title)
    beside = ", in brackets the paper's" if layout.published else ""
    caption = f"Accuracy in percent, mean ± deviation over seeds{beside}"
    section.tables = [(caption, overview(full)), ("Cell by cell", in_detail(full))]
    reduced = reduced_cells(groups, artefact, runs)
    if len(reduced):
        section.tables.append(("**At a reduced scale**, cell by cell", in_detail(reduced)))
    return section


def comparison_section(
    groups: pd.DataFrame, runs: Runs, asked: Sequence[RunRecord]
) -> tuple[Section, pd.DataFrame]:
    """Show what pairs of rows differ by on the same test tasks."""
    section = Section("Paired comparisons")
    section.text = [
        "Differences task by task, first minus second, between runs of the same seed and hence the same"
        " test tasks; in brackets the 95% bootstrap interval over tasks (percentile, 2000 resamples)."
    ]
    table = table_comparisons(groups, runs)
    if len(asked) == 2:
        chosen = compare_runs(*asked)
        measure = measure_of(next(iter(asked[0].test.values())))
        section.tables.append(("The two runs asked for", readable(chosen.assign(measure=measure))))
    if len(table):
        section.tables.append(("Rows of the tables", readable(table)))
    elif not section.tables:
        section.text.append(f"No two rows with the same test tasks: {NOT_RUN}.")
    return section, table


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Write differences as texts: accuracies in percent."""
    size = [100.0 if measure == "accuracy" else 1.0 for measure in table["measure"]]
    text = [
        f"{s * r.mean:+.2f} [{s * r.low:+.2f}, {s * r.high:+.2f}]"
        for s, r in zip(size, table[["mean", "low", "high"]].itertuples(index=False), strict=True)
    ]
    rest = table.drop(columns=["mean", "low", "high", "measure"])
    return rest.assign(tasks=[f"{n:,}" for n in table["tasks"]], difference=text)


def findings_section(groups: pd.DataFrame, runs: Runs) -> tuple[Section, pd.DataFrame]:
    """State the findings of Section 6 with our measurements."""
    table = findings(groups, runs)
    section = Section("The findings of Section 6")
    section.text = [
        "Differences of final test accuracy in points, on the same test tasks; in brackets the 95%"
        " bootstrap interval over tasks."
    ]
    rows = []
    for row in table.to_dict("records"):
        run = pd.notna(row["mean"])
        mean, low, high = (100 * row[name] for name in ("mean", "low", "high"))
        rows.append({
            "finding": row["finding"],
            "protocol": row["protocol"] if run else "-",
            "iterations": f"{row['steps']:,.0f}" if run else "-",
            "difference of": row["what"] if run else "-",
            "expected": row["expected"] if run else "-",
            "found": f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]" if run else NOT_RUN,
        })  # fmt: skip
    section.tables = [("", pd.DataFrame(rows))]
    return section, table


def sine_wave_section(groups: pd.DataFrame, runs: Runs, pictures: list[Picture]) -> Section:
    """Show Figure 1, and what the runs on sine waves came to, best first."""
    section = Section("Figure 1: sine waves", pictures=pictures)
    if not pictures:
        section.text = [f"The figure was {NOT_RUN}: `python src/analyze.py analysis=sine_wave`."]
    placed = place(groups, *SINE_WAVES).sort_values(["mean", "group"])
    if len(placed):
        alike = dict(list(placed.groupby("series")))
        differs = [unlike(g, alike[g["series"]], runs) or "-" for g in placed.to_dict("records")]
        lines = in_short(placed).assign(**{"differs in": differs})
        section.tables = [("Error on test waves after fine-tuning", lines)]
    return section


def other_section(groups: pd.DataFrame, table: pd.DataFrame, runs: Runs) -> Section:
    """Show groups of runs that belong to none of the tables and figures, beside each other."""
    data = {name: layout.data for name, layout in TABLES.items()}
    data |= {name: layout.data for name, layout in FIGURES.items()}
    placed = [place(groups, *pair)["group"] for pair in (*data.items(), SINE_WAVES)]
    other = groups[~groups["group"].isin(pd.concat(placed))]
    section = Section("Other runs")
    if other.empty:
        section.text = ["None."]
        return section
    section.text = [
        "Runs without a label, or labelled for a table or figure of another data set, with the settings"
        " that tell them apart; those of a sweep together. Scores on training tasks are of new tasks of"
        " the training classes."
    ]
    sweeps = other["runs"].map(lambda names: sweep_of(runs[names[0]]))
    for sweep, together in other.groupby(sweeps):
        told = told_apart(table[table["group"].isin(together["group"])])
        caption = f"`python src/train.py {sweep}`" if sweep else ""
        section.tables.append((caption, side_by_side(together, told)))
    return section


def sweep_of(run: RunRecord) -> str:
    """Return the override that named a run's sweep, "sweep=algorithms"; empty if none did."""
    return next((o for o in run.results.get("command") or () if o.startswith("sweep=")), "")


def runs_section(table: pd.DataFrame, runs: Runs) -> Section:
    """List every run with its command, code, data and machine."""
    section = Section("Runs")
    section.text = [
        "Every number above comes from these. `settings` is equal where two runs differ in nothing but"
        " their seed; `runs.csv` and `runs.parquet` hold the same and more."
    ]
    rows = []
    for name, rows_of_run in table.groupby("run") if len(table) else ():
        first, run = rows_of_run.iloc[0], runs[str(name)]
        scores = [score(row.score, row.ci95, row.measure) for row in rows_of_run.itertuples()]
        rows.append({
            "run": f"`{name}`",
            "scores ± 95% over tasks": ", ".join(scores),
            "tasks": f"{first['tasks']:,}",
            "seed": str(first["seed"]),
            "iterations": f"{first['steps']:,}",
            "training": duration(first["train_seconds"]),
            "interruptions": str(first["interruptions"]),
            "settings": first["group"] + (" (counted once)" if first["repeat"] else ""),
            "commit": str(run.results.get("commit") or "unknown")[:10]
            + (" (changed)" if run.results.get("dirty") or run.trained_dirty else ""),
            "data": f"{first['data']} {str(first['fingerprint'])[:12]}",
            "processor": f"{first['processor'] or '-'}, {first['threads'] or '-'} threads",
            "command": f"`{command_of(run)}`",
        })  # fmt: skip
    section.tables = [("", pd.DataFrame(rows))] if rows else []
    return section


def command_of(run: RunRecord) -> str:
    """Write the command that made a run."""
    script, *overrides = run.results.get("command") or ["-"]
    return shlex.join(["python", f"src/{Path(script).name}", *overrides])


def left_out_section(runs_found: FoundRuns) -> Section:
    """List the runs that were not counted, and why."""
    rows = [{"run": f"`{name}`", "why": reason} for name, reason in runs_found.left_out]
    section = Section("Left out", [] if rows else ["None."])
    section.tables = [("", pd.DataFrame(rows))] if rows else []
    return section
