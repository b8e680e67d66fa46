"""The settings of the command `paper`, in a light module because every command checks its keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt, Le, Len

from firstorder.settings import Filename, Seed, check_fields


@dataclass(frozen=True, kw_only=True)
class PaperSettings:
    """Say how much of the paper is run.

    Attributes:
        scale: the fraction of each experiment.
        seeds: of each experiment.
        sweeps: names in conf/sweep, in the order in which they run.
        out: where the report is written.
        estimate_only: say how long it would take, and end.
    """

    scale: Annotated[float, Gt(0), Le(1)] = 1.0
    seeds: Annotated[Sequence[Seed], Len(1)] = (0, 1, 2)
    sweeps: Annotated[Sequence[Filename], Len(1)]
    out: Filename
    estimate_only: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "paper")
