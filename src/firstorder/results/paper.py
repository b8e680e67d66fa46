"""What the paper reports, and how its figures are laid out: facts, no measurements of ours.

Nichol, Achiam, Schulman, "On First-Order Meta-Learning Algorithms", 2018 (arXiv:1803.02999v3): Tables 1
and 2, Figures 3 and 4. Behind a Reptile accuracy stands the standard deviation over three seeds
(Appendix A). The MAML rows are quoted there from Finn, Abbeel, Levine, "Model-Agnostic Meta-Learning for
Fast Adaptation of Deep Networks", 2017, whose +- is a 95% interval over tasks; first-order MAML on
Omniglot was run by the paper's authors with the code of Finn et al.
"""

from dataclasses import dataclass

TRANSDUCTIVE, NON_TRANSDUCTIVE = "transductive", "non_transductive"
SUFFIX = {TRANSDUCTIVE: " + Transduction", NON_TRANSDUCTIVE: ""}
ROWS = (  # of both tables: (series, protocol)
    ("MAML", TRANSDUCTIVE),
    ("1st-order MAML", TRANSDUCTIVE),
    ("Reptile", NON_TRANSDUCTIVE),
    ("Reptile", TRANSDUCTIVE),
)
Published = dict[tuple[int, int], tuple[tuple[float, float], ...]]  # (ways, shots) -> a pair a row


@dataclass(frozen=True)
class Table:
    """A table of accuracies.

    Attributes:
        title: as the report heads it.
        data: the data set that a run must have been made on.
        columns: (ways, shots), in the paper's order.
        iterations: outer iterations of Reptile in each column (Tables 3 and 4); the MAML rows, for
            which the paper states none, are held to the same number.
        published: for each column, (accuracy, +-) of each of `ROWS` in percent; empty where the paper
            has no such table.
    """

    title: str
    data: str
    columns: tuple[tuple[int, int], ...]
    iterations: tuple[int, ...]
    published: Published


TABLES = {
    "table1": Table(
        "Table 1: mini-ImageNet",
        "miniimagenet",
        ((5, 1), (5, 5)),
        (100_000, 100_000),
        {
            (5, 1): ((48.70, 1.84), (48.07, 1.75), (47.07, 0.26), (49.97, 0.32)),
            (5, 5): ((63.11, 0.92), (63.15, 0.91), (62.74, 0.37), (65.99, 0.58)),
        },
    ),
    "table2": Table(
        "Table 2: Omniglot",
        "omniglot",
        ((5, 1), (5, 5), (20, 1), (20, 5)),
        (100_000, 100_000, 200_000, 200_000),
        {
            (5, 1): ((98.7, 0.4), (98.3, 0.5), (95.39, 0.09), (97.68, 0.04)),
            (5, 5): ((99.9, 0.1), (99.2, 0.2), (98.90, 0.10), (99.48, 0.06)),
            (20, 1): ((95.8, 0.3), (89.4, 0.5), (88.14, 0.15), (89.43, 0.14)),
            (20, 5): ((98.9, 0.2), (97.9, 0.1), (96.65, 0.33), (97.12, 0.32)),
        },
    ),
    "cifarfs": Table(
        "CIFAR-FS with the settings of Table 1 (not in the paper)",
        "cifarfs",
        ((5, 1), (5, 5)),
        (100_000, 100_000),
        {},
    ),
}


SINE_WAVES = ("figure1", "sinusoid")  # its artefact and data: Figure 1 has curves, and no numbers


@dataclass(frozen=True)
class Figure:
    """A figure of Section 6: learning curves, or a sweep.

    Attributes:
        title: as the report heads it.
        data: the data set that a run must have been made on.
        series: its curves, in the order of the legend.
        looks: of each curve, the numbers of its colour and of its line style and marker.
        axis: label of the horizontal axis.
        logarithmic: whether that axis is.
        bend: where the published curves of shared-tail FOMAML bend, None where they don't.
        is_sweep: a point a run, not a curve.
        iterations: outer iterations (Tables 5 and 6).
    """

    title: str
    data: str
    series: tuple[str, ...]
    looks: tuple[tuple[int, int], ...]
    axis: str
    logarithmic: bool = False
    bend: float | None = None
    is_sweep: bool = True
    iterations: int = 40_000


COMBINATIONS = (
    "g1",
    "g2", "1/2 (g1 + g2)", "g1 + g2",
    "g3", "1/3 (g1 + g2 + g3)", "g1 + g2 + g3",
    "g4", "1/4 (g1 + g2 + g3 + g4)", "g1 + g2 + g3 + g4",
)  # fmt: skip
SEPARATE_TAIL = "FOMAML, separate tail"
SHARED_CYCLING = "FOMAML, shared tail, cycling"
SHARED_REPLACEMENT = "FOMAML, shared tail, replacement"
METHODS = ("Reptile", SEPARATE_TAIL, SHARED_REPLACEMENT, SHARED_CYCLING)
METHOD_LOOKS = ((0, 0), (1, 1), (2, 2), (3, 3))

FIGURES = {
    "figure3": Figure(
        "Figure 3: combinations of inner-loop gradients, 5-shot 5-way Omniglot",
        "omniglot",
        COMBINATIONS,
        ((0, 0), (1, 0), (1, 2), (1, 1), (2, 0), (2, 2), (2, 1), (3, 0), (3, 2), (3, 1)),
        "outer iteration",
        is_sweep=False,
    ),
    "figure4a": Figure(
        "Figure 4a: number of inner-loop iterations, batches of 25",
        "omniglot", METHODS, METHOD_LOOKS, "inner iterations", bend=4,
    ),
    "figure4b": Figure(
        "Figure 4b: size of inner-loop batches, 4 iterations",
        "omniglot", METHODS, METHOD_LOOKS, "inner batch size", bend=25,
    ),
    "figure4c": Figure(
        "Figure 4c: outer step size of shared-tail FOMAML, batches of 100",
        "omniglot", METHODS[2:], METHOD_LOOKS[2:], "outer step size", logarithmic=True,
    ),
}  # fmt: skip


def full_iterations(artefact: str, ways: int, shots: int) -> int | None:
    """Return the outer iterations at full scale; None where nothing is published."""
    if artefact in FIGURES:
        return FIGURES[artefact].iterations
    if artefact in TABLES and (ways, shots) in TABLES[artefact].columns:
        table = TABLES[artefact]
        return table.iterations[table.columns.index((ways, shots))]
    return None


def published_cell(
    artefact: str, series: str, protocol: str, ways: int, shots: int
) -> tuple[float, float] | None:
    """Return the paper's accuracy and its +-, as fractions; None where the paper has no such cell."""
    column = TABLES[artefact].published.get((ways, shots))
    if column is None or (series, protocol) not in ROWS:
        return None
    mean, error = column[ROWS.index((series, protocol))]
    return mean / 100, error / 100
