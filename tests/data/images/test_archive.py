import zipfile
from pathlib import Path

import pytest

from firstorder.data.images import archive
from firstorder.data.images.archive import open_zip, read_entry


@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/etc/out.png", "C:\\out.png"])
def test_entries_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as made:
        made.writestr(name, b"content")
    with pytest.raises(ValueError, match=r"x.zip holds the unsafe entry .*out.png"):
        open_zip(tmp_path / "x.zip")


def test_an_entry_that_unpacks_to_far_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRY", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.png", bytes(1001))
    with pytest.raises(ValueError, match=r"a.png in .*x.zip unpacks to more than 1000 bytes"):
        read_entry(open_zip(tmp_path / "x.zip"), "a.png")
