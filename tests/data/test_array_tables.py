"""A table's rows and columns are what they say, or it is refused."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from firstorder.data import Arrays


def groups(path: Path, **settings: Any) -> list[str]:
    """Return the groups that are tasks."""
    source = Arrays(str(path), **{"group": "who", "targets": ["b"], **settings})
    return sorted(task.name.split()[1] for tasks in source.tasks.values() for task in tasks)


def test_groups_are_told_apart_as_they_are_written(tmp_path: Path) -> None:
    table = tmp_path / "t.CSV"
    names = ["0", "00", "1", "1.0", "NA", "null"]
    table.write_text("who,a,b\n" + "".join(f"{name},1,2\n" for name in names))
    assert groups(table) == names


def test_groups_of_a_parquet_file_may_be_numbers(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    pd.DataFrame({"who": [1, 2, 10], "a": [1.0, 2, 3], "b": [1, 2, 3]}).to_parquet(table)
    assert groups(table) == ["1", "10", "2"]
    pd.DataFrame({"who": ["x", None], "a": [1.0, 2], "b": [1, 2]}).to_parquet(table)
    with pytest.raises(ValueError, match=r"column 'who'.*names no task in 1 rows"):
        groups(table)


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("who,a,b\nx,1,2,9\ny,3,4,9\n", {}, "t.csv cannot be read.*Expected 3 columns, got 4"),
        ("who,a,b\nx,1,2\ny,3\n", {}, "t.csv cannot be read.*Expected 3 columns, got 2"),
        ("who,a,a,b\nx,1,2,3\n", {}, "t.csv has two columns 'a'"),
        ("who,a,b\n", {}, "t.csv holds no rows"),
        ("", {}, "t.csv cannot be read"),
        ("who,b\nx,1\n", {}, "t.csv has no columns besides who, b"),
        ("who,a,b\nx,1,2\n", {"targets": ["who"]}, "the column 'who' of .* has two uses"),
        ("who,a,b\nx,1,2\n", {"targets": ["b", "b"]}, "the column 'b' of .* has two uses"),
        ("who,split,b\nx,1,2\n", {"targets": ["split"]}, "the column 'split' of .* has two uses"),
    ],
)
def test_a_table_that_is_not_clear_is_refused(
    text: str, settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(ValueError, match=words):
        groups(table, **settings)
