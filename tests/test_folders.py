import errno
from pathlib import Path

import pytest

from firstorder.folders import filling

FULL = OSError(errno.ENOSPC, "No space left on device")  # as a write says it: of no file


def fill(folder: Path, text: str, error: Exception | None = None) -> None:
    with filling(folder) as draft:
        (draft / "figures").mkdir()
        (draft / "figures" / "a.svg").write_text(text)
        if error:
            raise error
        (draft / "a.csv").write_text(text)


def test_files_are_replaced_all_together_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    fill(folder, "old")
    fill(folder, "new")
    with pytest.raises(ValueError, match=r"out cannot be written .*No space left .*: make room"):
        fill(folder, "half", FULL)
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "figures"]
    assert (folder / "a.csv").read_text() == (folder / "figures" / "a.svg").read_text() == "new"
