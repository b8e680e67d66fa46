"""Read tasks from the groups of a table, Parquet or CSV."""

from pathlib import Path
from typing import Any

from firstorder.data.array_task import SPLITS, ArrayTask, HowToRead, split_at_random, task_of

SUFFIXES = (".parquet", ".csv")


def split_table(path: Path, how: HowToRead) -> dict[str, list[ArrayTask]]:
    """Return the tasks of a table's groups; groups are told apart as text.

    Raises:
        ValueError: it cannot be read, or a column is missing or holds no numbers.
    """
    group, targets = how.group, how.targets
    if group is None or not targets:
        raise ValueError(
            f"{path} is a table: say which column names the task, data.source.group=..., and which"
            " are to be predicted, data.source.targets=[...]"
        )
    named = ["split", group, *targets]
    if repeated := [name for name in named if named.count(name) > 1]:
        raise ValueError(
            f"the column {repeated[0]!r} of {path} has two uses: data.source.group, each of"
            " data.source.targets and the column split, which says train, val or test, must be different"
            " ones"
        )
    table = read_table(path, group)
    for column in (group, *targets):
        if column not in table:
            raise ValueError(f"{path} has no column {column!r}, but {', '.join(table.columns)}")
    inputs = check_numbers(path, table, group, targets)
    names = table[group].astype(str).mask(table[group].isna(), "")
    if missing := int((names == "").sum()):
        raise ValueError(f"column {group!r} of {path} names no task in {missing} rows: fill it in")
    of = {
        name: task_of(
            f"{group} {name} of {path}", rows[inputs].to_numpy(), rows[list(targets)].to_numpy()
        )
        for name, rows in table.groupby(names)
    }
    if "split" in table:
        splits = table.groupby(names)["split"].unique()
        for name, values in splits.items():
            if len(values) != 1 or values[0] not in SPLITS:
                raise ValueError(
                    f"{group} {name} of {path} has split {', '.join(map(str, values))}: one of"
                    f" {', '.join(SPLITS)}"
                )
        return {s: [of[str(n)] for n, v in splits.items() if v[0] == s] for s in SPLITS}
    split = split_at_random(list(of), how)
    return {s: [of[name] for name in split[s]] for s in SPLITS}


def read_table(path: Path, group: str) -> Any:
    """Return a table as pandas holds it; in a CSV file, groups and splits are text as they stand there.

    Raises:
        ValueError: it cannot be read, its rows are not of one length, it has two columns of one name, or
            no rows.
    """
    import pyarrow as pa  # slow to load: only where there is a table
    from pyarrow import csv, parquet

    as_text = csv.ConvertOptions(column_types={group: pa.string(), "split": pa.string()})
    try:
        if path.suffix.lower() == ".csv":
            table = csv.read_csv(path, convert_options=as_text)
        else:
            table = parquet.ParquetFile(path).read()
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    columns = table.column_names
    if repeated := [name for name in columns if columns.count(name) > 1]:
        raise ValueError(f"{path} has two columns {repeated[0]!r}: rename one")
    if not table.num_rows:
        raise ValueError(f"{path} holds no rows: give one an example")
    return table.to_pandas()


def check_numbers(path: Path, table: Any, group: str, targets: tuple[str, ...]) -> list[str]:
    """Return the columns of inputs, once they are there and they and the targets hold numbers.

    Raises:
        ValueError: they do not.
    """
    from pandas.api.types import is_numeric_dtype

    inputs = [name for name in table if name not in (group, "split", *targets)]
    if not inputs:
        raise ValueError(
            f"{path} has no columns besides {', '.join(table.columns)}: add what the targets are to be"
            " predicted from"
        )
    for column in (*inputs, *targets):
        if not is_numeric_dtype(table[column]):
            raise ValueError(
                f"column {column!r} of {path} holds {table[column].dtype}, not numbers"
            )
    return inputs
