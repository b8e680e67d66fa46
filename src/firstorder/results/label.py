"""What a run's settings say of its place in the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from firstorder.messages import nearest
from firstorder.results.paper import FIGURES

KEY = "label"


@dataclass(frozen=True, kw_only=True)
class ExperimentLabel:
    """Say to which table or figure a run belongs, and where in it; the node `label` of a config.

    Ways, shots, protocol, data and scale are not taken from here but from the settings, the scores and
    the iterations done, so that evaluating a checkpoint with other shots fills another cell.

    Attributes:
        artefact: "table1", "table2", "cifarfs", "figure1", "figure3", "figure4a", "figure4b" or
            "figure4c"; runs of others are shown beside these.
        row: a table's row without its "+ Transduction".
        curve: a figure's curve. One of `row` and `curve` is given. The paper's are named in
            `firstorder.results.paper`; others are shown after them.
        column: a table's column, for readers of the config.
        x: place on the horizontal axis of a sweep (Figures 4a, 4b, 4c).
    """

    artefact: str
    row: str | None = None
    curve: str | None = None
    column: str | None = None
    x: float | None = None

    def __post_init__(self) -> None:
        for name in ("artefact", "row", "curve"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{KEY}.{name} must be text, not {value!r}: quote it")
        if (self.row is None) == (self.curve is None):
            raise ValueError(f"{KEY} must name a row of a table or a curve of a figure")
        if not isinstance(self.x, int | float | None):
            raise ValueError(f"{KEY}.x must be a number, not {self.x!r}")
        if self.artefact in FIGURES and FIGURES[self.artefact].is_sweep and self.x is None:
            raise ValueError(f"{KEY}.x is missing: {self.artefact} is drawn against it")

    @property
    def series(self) -> str:
        """The row or the curve."""
        return str(self.row or self.curve)

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self | None:
        """Return the label in a run's settings, None where the run belongs to no table or figure.

        Raises:
            ValueError: a key is not known or missing, or has a value that it cannot have.
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
        if node.get("artefact") is None:
            raise ValueError(f"{KEY}.artefact is missing")
        return cls(**node)
