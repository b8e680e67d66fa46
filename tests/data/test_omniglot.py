import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firstorder.data import omniglot
from firstorder.data.images import fetch
from firstorder.data.omniglot import Omniglot
from tests.data.conftest import write_omniglot


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    write_omniglot(folder)
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omniglot, "ZIPS", replace(omniglot.ZIPS, url="http://127.0.0.1:1"))
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)


@pytest.fixture(scope="module")
def real(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Omniglot:
    if not (data_root / "omniglot" / "images_background.zip").exists():
        pytest.skip(f"no Omniglot in {data_root}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRSTORDER_CACHE", str(tmp_path_factory.mktemp("omniglot")))
        source = Omniglot(str(data_root))
        source.prepare()
        source.setup()
    return source


def test_the_split_is_the_one_of_pythons_shuffle(archives: Path) -> None:
    source = Omniglot(str(archives), split_seed=3)
    names = [f"{i}" for i in range(1623)]
    shuffled = names.copy()
    random.seed(3)
    random.shuffle(shuffled)
    parts = source.split(names)
    assert parts == {"train": shuffled[:1200], "val": [], "test": shuffled[1200:]}


def test_validation_classes_are_the_last_of_the_1200(archives: Path) -> None:
    plain, carved = (Omniglot(str(archives), validation_classes=n) for n in (0, 100))
    for source in (plain, carved):
        source.prepare()
    names = plain.split(plain._opened().names)["train"][-100:]
    places = [plain._opened().names.index(name) * 20 for name in names]
    assert carved.classes == {"train": 4400, "val": 100, "test": 423}
    assert carved._splits["val"].starts.tolist() == places
    assert carved._splits["test"].starts.tolist() == plain._splits["test"].starts.tolist()


def test_characters_are_sorted_by_alphabet_whichever_archive_they_are_in(archives: Path) -> None:
    names = [name for name, _ in Omniglot(str(archives)).read()]
    assert names == sorted(names, key=lambda name: name.split("/"))
    assert len(names) == 1623


@pytest.mark.parametrize("place", ["", "omniglot"])
def test_archives_are_found_in_the_root_or_its_own_folder(
    tmp_path: Path, archives: Path, place: str
) -> None:
    (tmp_path / "root" / place).mkdir(parents=True)
    for archive in archives.glob("*.zip"):
        (tmp_path / "root" / place / archive.name).symlink_to(archive)
    source = Omniglot(str(tmp_path / "root"), download=False)
    source.prepare()
    source.setup()
    assert source.classes == {"train": 4800, "val": 0, "test": 423}


@pytest.mark.parametrize("download", [True, False])
def test_missing_archives_are_named_with_where_to_put_them(tmp_path: Path, download: bool) -> None:
    source = Omniglot(str(tmp_path / "none"), download=download)
    with pytest.raises(ValueError, match=r"images_background.zip and .* in .*none") as caught:
        source.prepare()
    assert str(caught.value).count("\n") == 0
    assert ("cannot be reached" in str(caught.value)) == download


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        (b"PK\x03\x04 cut off", "is a truncated zip"),
        (b"something else", "is not a zip"),
    ],
)
def test_what_is_wrong_with_an_archive_is_said(
    tmp_path: Path, archives: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "images_evaluation.zip").symlink_to(archives / "images_evaluation.zip")
    (tmp_path / "images_background.zip").write_bytes(content)
    with pytest.raises(ValueError, match=rf"images_background.zip {complaint}"):
        Omniglot(str(tmp_path)).prepare()


def test_a_truncated_archive_is_refused(tmp_path: Path, archives: Path) -> None:
    for archive in archives.glob("*.zip"):
        (tmp_path / archive.name).write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="is a truncated zip archive"):
        Omniglot(str(tmp_path)).prepare()


def test_a_damaged_drawing_is_named(tmp_path: Path, archives: Path) -> None:
    for archive in archives.glob("*.zip"):
        content = archive.read_bytes()
        (tmp_path / archive.name).write_bytes(content[:5000] + b"\0" * 99 + content[5099:])
    with pytest.raises(ValueError, match=r"character.*png in .* is damaged"):
        Omniglot(str(tmp_path)).prepare()


def test_an_archive_with_other_content_is_refused(tmp_path: Path) -> None:
    write_omniglot(tmp_path, missing=1)
    with pytest.raises(ValueError, match=r"not the official one: it holds 963 .* of 964"):
        Omniglot(str(tmp_path)).prepare()


def test_the_shape_of_the_images_is_known_before_they_are_read(tmp_path: Path) -> None:
    assert Omniglot(str(tmp_path / "none")).input_shape == (1, 28, 28)


def test_impossible_settings_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"resize_filter=nearst .*nearest"):
        Omniglot("data", resize_filter="nearst")
    with pytest.raises(ValueError, match="validation_classes=1200 must be below 1200"):
        Omniglot("data", validation_classes=1200)


@pytest.mark.real_data
def test_real_omniglot_has_the_published_classes(real: Omniglot) -> None:
    assert real.classes == {"train": 4800, "val": 0, "test": 423}
    assert set(np.diff(real._opened().offsets).tolist()) == {20}
    assert real._opened().names[0] == "Alphabet_of_the_Magi/character01"
    assert real._opened().names[-1].startswith("ULOG/")


@pytest.mark.real_data
def test_real_omniglot_is_ink_0_on_background_255(real: Omniglot) -> None:
    pixels = real._opened().pixels
    assert pixels.shape == (32460, 1, 28, 28)
    assert set(np.unique(pixels).tolist()) == {0, 255}
    assert 0.85 < (pixels == 255).mean() < 0.97


@pytest.mark.real_data
def test_a_task_of_real_omniglot_is_drawn_in_well_under_a_millisecond(real: Omniglot) -> None:
    rng = np.random.default_rng(0)
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        real.draw("train", rng, 5, 10, 0)
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[20] < 300e-6
