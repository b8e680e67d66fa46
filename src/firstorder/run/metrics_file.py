"""metrics.csv: a line for each thing that is logged, on the disk as soon as it is."""

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from firstorder.run.atomic import replacing, writing

STEP = "step"


class MetricsFile(Logger):
    """Log into a CSV file that a resumed run goes on with.

    Lightning's own CSVLogger deletes an older file, and keeps the last lines in memory.

    Args:
        path: the file.
        first_step: rows of an older file from this step on are dropped: they will be logged again. At 0
            the file starts anew.

    Raises:
        ValueError: the older file is damaged.
    """

    def __init__(self, path: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path, self.first_step = path, first_step
        self._columns: list[str] | None = None  # until something is logged, the older file stays
        if first_step:
            read_rows(path)  # says now, and not after the first iterations, that it is damaged

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        # Iterations are not counted in epochs here: Lightning's is always 0.
        row = {STEP: step, **{k: float(v) for k, v in metrics.items() if k != "epoch"}}
        if self._columns is None:
            self._columns = [STEP]
            older = [row for row in read_rows(self.path) if int(row[STEP]) < self.first_step]
            self._rewrite(older)
        if any(name not in self._columns for name in row):
            self._rewrite([*read_rows(self.path), row])
            return
        with writing(self.path), self.path.open("a", newline="") as file:
            file.write(line([row.get(name, "") for name in self._columns]))

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Leave settings to config.yaml."""

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        """Write the file anew, with a column for every name in its rows, in order of appearance."""
        self._columns = list(dict.fromkeys([STEP, *(name for row in rows for name in row)]))
        text = "".join(
            line(values)
            for values in [self._columns, *([r.get(c, "") for c in self._columns] for r in rows)]
        )
        with replacing(self.path) as file:
            file.write(text.encode())


def line(values: list[Any]) -> str:
    """Return one line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics file, without a last line that was cut off by a kill.

    Raises:
        ValueError: it is damaged in another way.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text()
        rows = list(csv.DictReader(io.StringIO(text[: text.rindex("\n") + 1])))
        for row in rows:
            int(row[STEP]), [float(value or "nan") for value in row.values()]
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged: mend it, or delete it to go on without its lines"
        ) from error
    return rows
