"""What every analysis does: measure a table, summarise it, draw it."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Analysis(ABC):
    """A question of the paper, answered by numbers; its settings are fields of a dataclass."""

    @abstractmethod
    def measure(self) -> pd.DataFrame:
        """Return the measurements, a row each."""

    @abstractmethod
    def summarise(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return what the measurements say, as a small table to read."""

    @abstractmethod
    def draw(self, table: pd.DataFrame) -> "Figure":
        """Draw the measurements."""
