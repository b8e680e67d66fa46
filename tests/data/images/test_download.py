from pathlib import Path

import pytest

from firstorder.data.images import fetch
from firstorder.data.images.download import Download

FILES = Download(
    title="Letters", folder="letters", url="http://127.0.0.1:1", md5={"a.zip": None, "b.zip": None}
)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)


def test_each_file_is_found_in_the_root_its_own_folder_or_the_downloads(tmp_path: Path) -> None:
    for first in (tmp_path / "a.zip", tmp_path / "letters" / "a.zip", FILES.cache / "a.zip"):
        for second in (tmp_path / "letters" / "b.zip", FILES.cache / "b.zip"):
            for path in (first, second):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            assert FILES.find(str(tmp_path)) == [first, second]
            second.unlink()
        first.unlink()


def test_a_missing_file_is_named_with_where_to_put_it_and_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").touch()
    with pytest.raises(ValueError, match=r"^Letters needs a.zip and b.zip .from http.*") as caught:
        FILES.find(str(tmp_path))
    for part in (str(tmp_path), "letters/", "data.root=", "data.source.download=true"):
        assert part in str(caught.value)


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.zip").touch()
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "b.zip").write_bytes(b"content")
    FILES.fetch(str(tmp_path / "root"), mirror=str(tmp_path / "mirror"))
    assert FILES.find(str(tmp_path / "root")) == [
        tmp_path / "root" / "a.zip",
        FILES.cache / "b.zip",
    ]


def test_a_failed_download_says_why_and_how_to_get_the_file_by_hand(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Letters needs .*a.zip could not .*cannot be reached"):
        FILES.fetch(str(tmp_path), mirror=None)


def test_what_is_needed_can_be_put_into_words(tmp_path: Path) -> None:
    words = Download(title="Letters", folder="letters", url="", md5={}, needs="some letters")
    assert words.how_to_get(str(tmp_path)).startswith(f"Letters needs some letters in {tmp_path}")
