"""The findings of Section 6, each with our measurement."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from firstorder.results.cells import place
from firstorder.results.paper import (
    COMBINATIONS,
    FIGURES,
    NON_TRANSDUCTIVE,
    SEPARATE_TAIL,
    SHARED_CYCLING,
    SHARED_REPLACEMENT,
    TRANSDUCTIVE,
)
from firstorder.results.runs import Runs
from firstorder.results.statistics import Difference, paired_contrast

MORE_STEPS = "More inner steps help a sum of gradients (Reptile) more than the last one (FOMAML)"
TWO_STEPS = "Two-step Reptile (g1 + g2) is worse than two-step FOMAML (g2)"
ALL_IMPROVE = "All methods improve with the number of mini-batches"
OVERLAP = "Shared-tail FOMAML with cycling falls once its last batch overlaps with earlier ones"
GRADUALLY = "Shared-tail FOMAML with replacement falls more gradually"
APART = "Separate-tail FOMAML and Reptile do not fall there"
FINDINGS = (MORE_STEPS, TWO_STEPS, ALL_IMPROVE, OVERLAP, GRADUALLY, APART)
FOUR, TWO = "g1 + g2 + g3 + g4", "g1 + g2"
# What the findings compare in Figure 3: (finding, what, expected sign, weights of curves).
FIGURE3_CONTRASTS: tuple[tuple[str, str, str, tuple[tuple[int, str], ...]], ...] = (
    (MORE_STEPS, f"[{FOUR}] - [{TWO}]", "> 0", ((1, FOUR), (-1, TWO))),
    (MORE_STEPS, "[g4] - [g2]", "> 0", ((1, "g4"), (-1, "g2"))),
    (MORE_STEPS, "the first of these less the second", "> 0",
     ((1, FOUR), (-1, TWO), (-1, "g4"), (1, "g2"))),
    (TWO_STEPS, f"[{TWO}] - [g2]", "< 0", ((1, TWO), (-1, "g2"))),
    *(
        (ALL_IMPROVE, f"[{more}] - [{less}]", "> 0", ((1, more), (-1, less)))
        for less, more in zip(COMBINATIONS[1:-3], COMBINATIONS[4:], strict=True)
    ),
)  # fmt: skip
# What they compare in Figures 4a and 4b, where points after the bend are held against the last before it:
# (finding, curve, one whose change is subtracted, expected sign).
CHANGES = (
    (OVERLAP, SHARED_CYCLING, None, "< 0"),
    (GRADUALLY, SHARED_REPLACEMENT, None, "< 0"),
    (GRADUALLY, SHARED_REPLACEMENT, SHARED_CYCLING, "> 0"),
    (APART, SEPARATE_TAIL, None, "about 0"),
    (APART, "Reptile", None, "about 0"),
)


def findings(groups: pd.DataFrame, runs: Runs) -> pd.DataFrame:
    """Return a line for each finding, protocol and scale: the expected sign, and the differences found.

    Columns: `finding`, `protocol`, `steps`, `what` is compared, `expected` ("> 0", "< 0", "about 0"),
    `mean`, `low`, `high`, `tasks`; a finding that was not measured has one line without numbers.
    """
    rows = [*figure3_rows(groups, runs), *overlap_rows(groups, runs)]
    measured = {row["finding"] for row in rows}
    rows += [{"finding": name} for name in FINDINGS if name not in measured]
    columns = ["finding", "protocol", "steps", "what", "expected", "mean", "low", "high", "tasks"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("finding", key=lambda c: c.map(FINDINGS.index), kind="stable")


def by_place(placed: pd.DataFrame) -> Iterator[tuple[str, int, dict[tuple[str, float], tuple]]]:
    """Yield (protocol, steps, the runs' names by (series, x)) where each place has one group."""
    for protocol in (TRANSDUCTIVE, NON_TRANSDUCTIVE):
        here = placed[placed["protocol"] == protocol]
        for steps in sorted(set(here["steps"]), reverse=True):
            alike = here[here["steps"] == steps]
            alike = alike[~alike.duplicated(["series", "x"], keep=False)]
            keys = zip(alike["series"], alike["x"].fillna(0.0), strict=True)
            yield protocol, steps, dict(zip(keys, alike["runs"], strict=True))


def contrast(
    terms: Sequence[tuple[float, tuple | None]], protocol: str, runs: Runs
) -> Difference | None:
    """Return a weighted sum of groups of runs, given by name; None where one is missing or unlike."""
    if not all(names for _, names in terms):
        return None
    series = [(weight, [(runs[name], protocol) for name in names or ()]) for weight, names in terms]
    try:
        return paired_contrast(series)
    except ValueError:  # other test tasks
        return None


def row(finding: str, protocol: str, steps: int, what: str, expected: str, d: Difference) -> dict:
    """Return a line of the table."""
    return {
        "finding": finding, "protocol": protocol, "steps": steps, "what": what, "expected": expected,
        "mean": d.mean, "low": d.low, "high": d.high, "tasks": d.tasks,
    }  # fmt: skip


def figure3_rows(groups: pd.DataFrame, runs: Runs) -> Iterator[dict]:
    """Yield the lines that Figure 3 gives."""
    placed = place(groups, "figure3", FIGURES["figure3"].data)
    for protocol, steps, known in by_place(placed):
        for finding, what, expected, terms in FIGURE3_CONTRASTS:
            chosen = [(float(weight), known.get((name, 0.0))) for weight, name in terms]
            if d := contrast(chosen, protocol, runs):
                yield row(finding, protocol, steps, what, expected, d)


def overlap_rows(groups: pd.DataFrame, runs: Runs) -> Iterator[dict]:
    """Yield the lines that Figures 4a and 4b give: the points after the bend less the last before it."""
    for artefact in ("figure4a", "figure4b"):
        layout = FIGURES[artefact]
        assert layout.bend is not None
        for protocol, steps, known in by_place(place(groups, artefact, layout.data)):
            for finding, series, other, expected in CHANGES:
                curves = [(1.0, series)] + ([(-1.0, other)] if other else [])
                for x, before in after(known, series, layout.bend):
                    terms = [(sign, known.get((name, x))) for sign, name in curves]
                    terms += [(-sign, known.get((name, before))) for sign, name in curves]
                    if d := contrast(terms, protocol, runs):
                        what = f"{series}: {layout.axis} {x:g} - {before:g}"
                        what += f", less that of {other}" if other else ""
                        yield row(finding, protocol, steps, what, expected, d)


def after(
    known: Mapping[tuple[str, float], tuple], series: str, bend: float
) -> Iterator[tuple[float, float]]:
    """Yield the points of a curve after the bend, each with the last one before it."""
    xs = sorted(x for name, x in known if name == series)
    before = [x for x in xs if x <= bend]
    return ((x, before[-1]) for x in xs if x > bend and before)
