import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstorder.data.imagefolder import ImageFolder
from firstorder.data.images.pictures import FORMATS


def write(folder: Path, classes: dict[str, int], kinds: tuple[str, ...] = (".png",)) -> None:
    """Write classes of so many images, of all sizes, in colour and grey by turns."""
    rng = np.random.default_rng(0)
    for name, images in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(images):
            shape = (9 + i, 14 - i, 3) if i % 2 else (8, 8)
            picture = Image.fromarray(rng.integers(256, size=shape).astype(np.uint8))
            picture.save(folder / name / f"{i}{kinds[i % len(kinds)]}")


def opened(root: Path, **settings: object) -> ImageFolder:
    source = ImageFolder(str(root), image_size=10, **settings)  # type: ignore[arg-type]
    source.prepare()
    return source


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "train", {"cat": 4, "dog": 5, "cow": 6})
    write(tmp_path / "validation", {"emu": 4})
    write(tmp_path / "test", {"fox": 4, "owl": 7})
    source = opened(tmp_path)
    assert source.classes == {"train": 3, "val": 1, "test": 2}
    task = source.draw("test", np.random.default_rng(0), 2, 3, 1)
    assert task.support_x.shape == (6, 3, 10, 10)


def test_all_formats_sizes_and_modes_are_read(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys("abcdefghij", 6), tuple(FORMATS))
    for channels in (1, 3):
        task = opened(tmp_path, channels=channels).draw("train", np.random.default_rng(0), 5, 6, 0)
        assert task.support_x.shape == (30, channels, 10, 10)


def test_one_folder_of_classes_is_split_by_ratio(tmp_path: Path) -> None:
    write(tmp_path, {f"class{i:02}": 2 for i in range(20)})
    source = opened(tmp_path, ratios=[0.5, 0.2, 0.3])
    assert source.classes == {"train": 10, "val": 4, "test": 6}
    names = [f"class{i:02}" for i in range(20)]
    parts = source.split(names)
    assert sorted(name for part in parts.values() for name in part) == names
    assert opened(tmp_path, split_seed=1).split(names) != opened(tmp_path).split(names)
    assert opened(tmp_path).split(names) == opened(tmp_path).split(names)


def test_lists_beside_the_classes_split_them_and_say_who_is_in_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, dict.fromkeys(("cat", "dog", "fox", "owl"), 2))
    (tmp_path / "train.txt").write_text("owl\ncat\n")
    (tmp_path / "test.txt").write_text("dog\n")
    with caplog.at_level(logging.WARNING):
        assert opened(tmp_path).classes == {"train": 2, "val": 0, "test": 1}
    assert "left out classes that are in no list: fox" in caplog.text
    (tmp_path / "test.txt").write_text("dog\nelk\n")
    with pytest.raises(ValueError, match=r"test.txt lists 'elk', which is no folder beside it"):
        opened(tmp_path)


@pytest.mark.parametrize("splits", [False, True])
def test_images_beside_the_folders_of_classes_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, splits: bool
) -> None:
    write(tmp_path, dict.fromkeys(("train/cat", "test/dog") if splits else "abcde", 2))
    (tmp_path / "README.txt").write_text("what these are")
    with caplog.at_level(logging.WARNING):
        opened(tmp_path)
    assert "left out" not in caplog.text
    loose = tmp_path / ("train" if splits else "") / "loose.PNG"
    Image.new("RGB", (5, 5)).save(loose, format="PNG")
    for _ in "prepared", "from the cache":
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            opened(tmp_path)
        assert f"left out images that lie in no folder of a class: {loose}" in caplog.text


def test_classes_with_few_images_are_an_error_or_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, dict.fromkeys("abcde", 5) | {"rare": 1})
    everything = {"ratios": [1.0, 0.0, 0.0]}
    with pytest.raises(ValueError, match=r"'rare' of imagefolder has 1$"):
        opened(tmp_path, **everything).draw("train", np.random.default_rng(0), 5, 2, 0)
    with caplog.at_level(logging.INFO):
        source = opened(tmp_path, min_images=2, **everything)
    assert "left out classes of fewer than 2 images: rare" in caplog.text
    assert source.classes["train"] == 5
    source.draw("train", np.random.default_rng(0), 5, 5, 0)


def test_classes_that_are_left_out_do_not_count_in_the_split(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys("abcdefghij", 3) | dict.fromkeys("klmnopqrst", 1))
    source = opened(tmp_path, min_images=2, ratios=[0.5, 0.0, 0.5])
    assert source.classes == {"train": 5, "val": 0, "test": 5}
    (tmp_path / "train.txt").write_text("a\nk\n")
    assert opened(tmp_path, min_images=2).classes["train"] == 1


def test_bad_files_are_named_and_counted_and_left_out_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, dict.fromkeys("abcdefghij", 4))
    (tmp_path / "a" / "empty.png").touch()
    (tmp_path / "b" / "notes.txt").write_text("not an image")
    (tmp_path / "c" / "cut.jpg").write_bytes((tmp_path / "c" / "0.png").read_bytes()[:60])
    (tmp_path / "d" / ".hidden").touch()
    (tmp_path / "d" / "Thumbs.db").touch()
    with pytest.raises(ValueError, match=r"3 of the images cannot be used .*empty.png is empty"):
        opened(tmp_path)
    for name in ("a/empty.png", "b/notes.txt", "c/cut.jpg"):
        assert str(tmp_path / name) in caplog.text
    source = opened(tmp_path, skip_bad_images=True)
    assert len(source.describe()) == 4
    source.draw("train", np.random.default_rng(0), 5, 4, 0)


def test_a_changed_image_makes_a_new_cache(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys("abcde", 3))
    before = opened(tmp_path).fingerprint
    Image.new("RGB", (5, 5)).save(tmp_path / "a" / "0.png")
    assert opened(tmp_path).fingerprint != before


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_images_is_named(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=r"mine.*data.root="):
        opened(tmp_path / "mine")


def test_impossible_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"channels=2 is not known; there are: 1, 3"):
        opened(tmp_path, channels=2)
    with pytest.raises(ValueError, match=r"ratios=\[0.5, 0.6\] must hold at least 3"):
        opened(tmp_path, ratios=[0.5, 0.6])


def test_validation_classes_are_drawn_at_random_from_the_training_folder(tmp_path: Path) -> None:
    write(tmp_path / "train", {f"class{i:02}": 2 for i in range(20)})
    write(tmp_path / "test", {"fox": 2, "owl": 2})
    assert opened(tmp_path).classes == {"train": 20, "val": 0, "test": 2}
    source = opened(tmp_path, validation_classes=5)
    assert source.classes == {"train": 15, "val": 5, "test": 2}
    names = [f"train/class{i:02}" for i in range(20)]
    assert source.split(names)["train"] != names
    assert sorted(source.split(names)["train"]) == names


@pytest.mark.parametrize("channels", [1, 3])
def test_the_shape_of_the_images_is_known_from_the_settings(tmp_path: Path, channels: int) -> None:
    source = ImageFolder(str(tmp_path), image_size=10, channels=channels)
    assert source.input_shape == (channels, 10, 10)
