"""What a run's settings say of its place in the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from firstorder.messages import nearest
from firstorder.results.paper import FIGURES

KEY = "experiment"


@dataclass(frozen=True, kw_only=True)
class ExperimentLabel:
    """Say to which table or figure a run belongs, and where in it; the node `experiment` of a config.

    Ways, shots, data and protocol are not labelled: they are read from the settings and the scores, so
    that evaluating a checkpoint with other shots fills another cell.

    Attributes:
        name: the experiment's file, as `experiment=` takes it.
        exhibit: "table1", "table2", "cifarfs", "figure3", "figure4a", "figure4b" or "figure4c".
        series: a table's row without its "+ Transduction", or a figure's curve: see
            `firstorder.results.paper` for those of the paper; others are shown after them.
        iterations: outer iterations at full scale. A run with fewer is shown as reduced.
        x: place on the horizontal axis of a sweep (Figures 4a, 4b, 4c), None elsewhere.
    """

    name: str
    exhibit: str
    series: str
    iterations: int
    x: float | None = None

    def __post_init__(self) -> None:
        for name in ("name", "exhibit", "series"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(
                    f"{KEY}.{name} must be a text, not {getattr(self, name)!r}: quote it"
                )
        if not isinstance(self.iterations, int) or self.iterations < 1:
            raise ValueError(f"{KEY}.iterations must be a number from 1, not {self.iterations!r}")
        if not isinstance(self.x, int | float | None):
            raise ValueError(f"{KEY}.x must be a number, not {self.x!r}")
        if self.exhibit in FIGURES and FIGURES[self.exhibit].is_sweep and self.x is None:
            raise ValueError(f"{KEY}.x is missing: {self.exhibit} is drawn against it")

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self | None:
        """Return the label in a run's settings, None where the run belongs to no table or figure.

        Raises:
            ValueError: a key is missing or not known, or has a value that it cannot have.
        """
        node = config.get(KEY)
        if not node:
            return None
        known = [field.name for field in fields(cls)]
        if not isinstance(node, Mapping):
            raise ValueError(f"{KEY} must hold {', '.join(known)}, not {node!r}")
        for key in node:
            if key not in known:
                raise ValueError(f"there is no {KEY}.{key}{nearest(key, known, KEY)}")
        for key in known[:-1]:
            if node.get(key) is None:
                raise ValueError(f"{KEY}.{key} is missing")
        return cls(**node)
