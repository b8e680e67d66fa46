"""The settings of the command `report`, in a light module because every command checks its keys."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le, Len

from firstorder.settings import Filename, check, declarations, shown


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """Say what is reported and where it goes.

    Attributes:
        runs: run folders, and folders that hold some at any depth.
        out: the folder to write into.
        include_dirty: count runs whose code differed from its commit.
        include_failed: count runs that wrote results and failed or were interrupted afterwards.
        compare: two run folders to compare on their common test tasks, or none.
        smoothing: width of the moving average over learning curves, as a share of their length.
    """

    runs: Annotated[list[Filename], Len(1)]
    out: Filename
    include_dirty: bool
    include_failed: bool
    compare: list[Filename]
    smoothing: Annotated[float, Ge(0), Le(1)]

    def __post_init__(self) -> None:
        for name, declared in declarations(ReportSettings).items():
            check(name, getattr(self, name), declared)
        if len(self.compare) not in (0, 2):
            raise ValueError(f"compare={shown(self.compare)} must name two run folders, or none")
