import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firstorder.data import cifarfs
from firstorder.data.cifarfs import SPLITS, CifarFS
from firstorder.data.images import fetch
from tests.data.conftest import png

EACH = 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifarfs, "IMAGES", EACH)
    monkeypatch.setattr(cifarfs, "ZIP", replace(cifarfs.ZIP, url="http://127.0.0.1:1"))
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)


def write(folder: Path, *, leave_out: str = "") -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "cifar100.zip", "w") as archive:
        for split, names in SPLITS.items():
            archive.writestr(f"cifar100/splits/bertinetto/{split}.txt", "\n".join(names))
            for name in names:
                for i in range(EACH):
                    place = f"cifar100/data/{name}/{name}_s_{i:06}.png"
                    if place != leave_out:
                        pixels = rng.integers(256, size=(32, 32, 3)).astype(np.uint8)
                        archive.writestr(place, png(pixels))


def opened(root: Path, **settings: object) -> CifarFS:
    source = CifarFS(str(root), **settings)  # type: ignore[arg-type]
    source.prepare()
    return source


def test_the_split_is_64_16_20_classes(tmp_path: Path) -> None:
    write(tmp_path / "cifar-fs")
    source = opened(tmp_path)
    assert source.classes == {"train": 64, "val": 16, "test": 20}
    assert source.draw("val", np.random.default_rng(0), 5, 1, 1).support_x.shape == (5, 3, 32, 32)


def test_an_enlarged_view_has_the_shape_of_mini_imagenet(tmp_path: Path) -> None:
    write(tmp_path)
    plain, large = opened(tmp_path), opened(tmp_path, image_size=84, resize_filter="nearest")
    images = large.draw("test", np.random.default_rng(0), 5, 1, 1).support_x
    small = plain.draw("test", np.random.default_rng(0), 5, 1, 1).support_x
    for image, original in zip(images, small, strict=True):
        enlarged = Image.fromarray(original.transpose(1, 2, 0)).resize(
            (84, 84), Image.Resampling.NEAREST
        )
        assert np.array_equal(image.transpose(1, 2, 0), np.asarray(enlarged))


def test_the_shape_of_the_images_is_known_from_the_settings(tmp_path: Path) -> None:
    assert CifarFS(str(tmp_path)).input_shape == (3, 32, 32)
    assert CifarFS(str(tmp_path), image_size=84).input_shape == (3, 84, 84)


def test_another_archive_is_refused(tmp_path: Path) -> None:
    write(tmp_path, leave_out="cifar100/data/worm/worm_s_000001.png")
    with pytest.raises(
        ValueError, match=r"not the archive of CIFAR-FS: it holds 99 of 100 classes"
    ):
        opened(tmp_path)


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cifar100.zip .*FIRSTORDER_DATA .*cannot be reached"):
        opened(tmp_path)


def test_the_archive_is_fetched_from_a_mirror(tmp_path: Path) -> None:
    write(tmp_path / "mirror")
    assert opened(tmp_path / "nothing", mirror=str(tmp_path / "mirror")).classes["test"] == 20


@pytest.mark.real_data
def test_real_cifar_fs_has_this_split(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data_root / "cifar-fs" / "cifar100.zip"
    if not path.exists():
        pytest.skip(f"no {path}")
    with zipfile.ZipFile(path) as archive:
        for split, names in SPLITS.items():
            listed = archive.read(f"cifar100/splits/bertinetto/{split}.txt").decode().split()
            assert sorted(listed) == names
    monkeypatch.setattr(cifarfs, "IMAGES", 600)
    assert len(list(CifarFS(str(data_root)).read())) == 100
