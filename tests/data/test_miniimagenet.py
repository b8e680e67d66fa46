import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from firstorder.data import miniimagenet
from firstorder.data.images import fetch, wnids
from firstorder.data.images.pickles import load
from firstorder.data.miniimagenet import FILES, MiniImageNet
from tests.data.conftest import png

SIDE, EACH = 8, 4
LATE = wnids.SPLITS["test"][3]
Images = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let four images be a class, and the net be away."""
    monkeypatch.setattr(wnids, "IMAGES", EACH)
    away = replace(miniimagenet.PICKLES, url="http://127.0.0.1:1")
    monkeypatch.setattr(miniimagenet, "PICKLES", away)
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)


@pytest.fixture(scope="module")
def images() -> Images:
    rng = np.random.default_rng(0)
    return {
        wnid: rng.integers(256, size=(EACH, SIDE, SIDE, 3)).astype(np.uint8) for wnid in wnids.WNIDS
    }


class Python2Pickler(pickle._Pickler):
    """Write bytes and text alike as Python 2 does."""

    def save_string(self, text: bytes | str) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.write(b"T" + struct.pack("<i", len(data)) + data)  # type: ignore
        self.memoize(text)  # type: ignore

    dispatch: ClassVar = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # type: ignore


def pickled(images: Images, split: str, dump: Callable[[object], bytes] = pickle.dumps) -> bytes:
    """Return a split's cache, its images in a random order."""
    labels = wnids.SPLITS[split]
    pixels = np.concatenate([images[wnid] for wnid in labels])
    order = np.random.default_rng(1).permutation(len(pixels))
    place = np.argsort(order).reshape(len(labels), EACH).tolist()
    return dump({"image_data": pixels[order], "class_dict": dict(zip(labels, place, strict=True))})


def python2(content: object) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(content)
    return buffer.getvalue().replace(b"numpy._core", b"numpy.core")


def write_pickles(folder: Path, images: Images) -> None:
    for split in ("train", "val", "test"):
        (folder / f"mini-imagenet-cache-{split}.pkl").write_bytes(pickled(images, split))


def write_python2_pickles(folder: Path, images: Images) -> None:
    for name, split in zip(FILES, wnids.SPLITS, strict=True):  # here "validation"
        (folder / name).write_bytes(pickled(images, split, python2))


def write_tar(folder: Path, images: Images) -> None:
    with tarfile.open(folder / "mini-imagenet.tar.gz", "w:gz") as tar:
        for split in ("test", "train", "val"):
            add(tar, f"mini-imagenet-cache-{split}.pkl", pickled(images, split))


def write_csvs(folder: Path, images: Images) -> None:
    (folder / "images").mkdir()
    for split, labels in wnids.SPLITS.items():
        rows = [f"{wnid}{i + 3:08}.jpg,{wnid}" for i in range(EACH) for wnid in labels[::-1]]
        (folder / f"{split}.csv").write_text("\n".join(["filename,label", *rows]))
        for wnid in labels:
            for i, image in enumerate(images[wnid]):
                (folder / "images" / f"{wnid}{i + 3:08}.jpg").write_bytes(png(image))


def write_folders(folder: Path, images: Images) -> None:
    for split, labels in wnids.SPLITS.items():
        for wnid in labels:
            (folder / split / wnid).mkdir(parents=True)
            for i, image in enumerate(images[wnid]):
                (folder / split / wnid / f"{wnid}_{97 - i}.JPEG").write_bytes(png(image))


def write_training_tar(folder: Path, images: Images, within: str = "") -> None:
    """Write ImageNet's archive: a class too many, larger images, and later ones to leave out."""
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as tar:
        for wnid in ["n00000000", *sorted(images)]:
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as images_tar:
                add(images_tar, f"{wnid}_900.JPEG", png(np.zeros((SIDE, SIDE, 3), np.uint8)))
                for i, image in enumerate(images.get(wnid, ())):
                    large = image.repeat(3, axis=0).repeat(3, axis=1)
                    add(images_tar, f"{within}{wnid}_{i * 33}.JPEG", png(large))
            add(tar, f"{wnid}.tar", inner.getvalue())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


FORMATS = {
    "pickle": write_pickles,
    "python2": write_python2_pickles,
    "tar": write_tar,
    "csv": write_csvs,
    "folders": write_folders,
    "ilsvrc": write_training_tar,
}


def source(root: Path, **settings: object) -> MiniImageNet:
    return MiniImageNet(str(root), image_size=SIDE, **settings)  # type: ignore[arg-type]


def opened(root: Path, **settings: object) -> MiniImageNet:
    made = source(root, **settings)
    made.prepare()
    return made


def test_all_formats_give_the_same_fingerprint_and_the_same_episodes(
    tmp_path: Path, images: Images
) -> None:
    sources = []
    for name, write in FORMATS.items():
        (tmp_path / name).mkdir()
        write(tmp_path / name, images)
        sources.append(opened(tmp_path / name))
        assert sources[-1].classes == {"train": 64, "val": 16, "test": 20}
    assert len({s.fingerprint for s in sources}) == 1
    for split in ("train", "val", "test"):
        tasks = [s.draw(split, np.random.default_rng(7), 5, 3, 1) for s in sources]
        for task in tasks[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(task, tasks[0], strict=True))


def test_a_copy_is_found_in_its_own_folder_and_can_be_named(tmp_path: Path, images: Images) -> None:
    folder = tmp_path / "mini-imagenet"
    folder.mkdir()
    write_folders(folder, images)
    write_pickles(folder, {wnid: pixels[:, ::-1] for wnid, pixels in images.items()})
    first, named = opened(tmp_path), opened(tmp_path, copy="folders")
    assert first.fingerprint != named.fingerprint
    with pytest.raises(ValueError, match=r"data.source.copy=folder .*folders"):
        source(tmp_path, copy="folder")


def test_without_data_one_sentence_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"FIRSTORDER_DATA .*cannot be reached") as caught:
        source(tmp_path).prepare()
    for part in ("train.csv", *FILES, "mini-imagenet.tar.gz", "ILSVRC2012", str(tmp_path)):
        assert part in str(caught.value)


def test_the_pickles_are_fetched_from_a_mirror(tmp_path: Path, images: Images) -> None:
    (tmp_path / "mirror").mkdir()
    write_python2_pickles(tmp_path / "mirror", images)
    made = opened(tmp_path / "nothing", mirror=str(tmp_path / "mirror"))
    assert made.classes["test"] == 20


def test_a_pickle_that_could_run_code_is_refused_and_does_not(
    tmp_path: Path, images: Images
) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "owned"),)

    write_pickles(tmp_path, images)
    (tmp_path / "mini-imagenet-cache-train.pkl").write_bytes(pickle.dumps({"image_data": Evil()}))
    with pytest.raises(ValueError, match=r"asks for posix.mkdir, which could run code"):
        source(tmp_path).prepare()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"", "is empty"),
        (pickle.dumps({"image_data": np.zeros(9)})[:-9], "is no sound pickle"),
        (pickle.dumps([1, 2]), "is no mini-ImageNet cache"),
        (pickle.dumps({"image_data": np.zeros(9), "class_dict": {}}), "no colour images"),
        (
            pickle.dumps(
                {"image_data": np.zeros((8, 8, 8, 3), np.uint8), "class_dict": {"n1": [1]}}
            ),
            "it has n1 in place of the class n01532829",
        ),
    ],
)
def test_what_is_wrong_with_a_pickle_is_said(
    tmp_path: Path, images: Images, content: bytes, complaint: str
) -> None:
    write_pickles(tmp_path, images)
    (tmp_path / "mini-imagenet-cache-train.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        source(tmp_path).prepare()


def test_downloads_that_are_incomplete_are_completed(tmp_path: Path, images: Images) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    write_python2_pickles(mirror, images)
    downloads = miniimagenet.PICKLES.cache
    downloads.mkdir(parents=True)
    (downloads / FILES[0]).write_bytes((mirror / FILES[0]).read_bytes())
    assert opened(tmp_path / "nothing", mirror=str(mirror)).classes["train"] == 64


def test_an_incomplete_set_of_pickles_is_named(tmp_path: Path, images: Images) -> None:
    write_pickles(tmp_path, images)
    (tmp_path / "mini-imagenet-cache-val.pkl").unlink()
    with pytest.raises(ValueError, match=r"lacks mini-imagenet-cache-\*.pkl of val"):
        source(tmp_path).prepare()


@pytest.mark.parametrize("name", ["tar", "ilsvrc"])
def test_a_truncated_tar_is_refused(tmp_path: Path, images: Images, name: str) -> None:
    FORMATS[name](tmp_path, images)
    (path,) = tmp_path.glob("*.tar*")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=rf"{path.name} (is no sound|lacks .* truncated)"):
        source(tmp_path).prepare()


def test_entries_of_a_tar_that_point_outside_are_refused(tmp_path: Path, images: Images) -> None:
    write_training_tar(tmp_path, images, within="../")
    with pytest.raises(ValueError, match=r"ILSVRC2012_img_train.tar holds the unsafe entry"):
        source(tmp_path).prepare()


def test_a_missing_image_and_a_class_of_another_size_are_named(
    tmp_path: Path, images: Images
) -> None:
    write_csvs(tmp_path, images)
    gone = tmp_path / "images" / f"{LATE}00000004.jpg"
    gone.unlink()
    with pytest.raises(ValueError, match=rf"{gone.name} cannot be read .No such file"):
        source(tmp_path).prepare()
    lines = (tmp_path / "test.csv").read_text().splitlines()
    (tmp_path / "test.csv").write_text("\n".join(line for line in lines if gone.name not in line))
    with pytest.raises(ValueError, match=rf"{LATE} of .* has 3 images in place of 4"):
        source(tmp_path).prepare()


def test_another_split_is_refused(tmp_path: Path, images: Images) -> None:
    write_csvs(tmp_path, images)
    (tmp_path / "val.csv").write_text((tmp_path / "test.csv").read_text())
    with pytest.raises(ValueError, match=r"val.csv has n\d+, which is not a val class"):
        source(tmp_path).prepare()


def test_bad_images_stop_the_preparation_unless_they_may_be_left_out(
    tmp_path: Path, images: Images
) -> None:
    write_folders(tmp_path, images)
    wnid = wnids.SPLITS["test"][0]
    (tmp_path / "test" / wnid / f"{wnid}_97.JPEG").write_bytes(b"damage")
    with pytest.raises(
        ValueError, match=rf"1 of the images .*{wnid}_97.JPEG.*skip_bad_images=true"
    ):
        source(tmp_path).prepare()
    made = opened(tmp_path, skip_bad_images=True)
    assert any(f"{wnid}_97.JPEG" in line for line in made.describe())
    with pytest.raises(ValueError, match=rf"{wnid!r} of miniimagenet has 3"):
        made.check("test", 5, 3, 1)


def test_the_split_has_64_16_and_20_classes_that_are_different_ones() -> None:
    assert [len(labels) for labels in wnids.SPLITS.values()] == [64, 16, 20]
    assert len(set(wnids.WNIDS)) == 100


def test_a_pickle_of_arrays_is_read_in_every_protocol(images: Images) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickled(images, "val", partial(pickle.dumps, protocol=protocol))
        pixels, classes = load(io.BytesIO(data), "x")
        assert list(classes) == wnids.SPLITS["val"]
        assert pixels.shape == (16 * EACH, SIDE, SIDE, 3)


def test_the_shape_of_the_images_is_known_from_the_settings(tmp_path: Path) -> None:
    assert MiniImageNet(str(tmp_path)).input_shape == (3, 84, 84)
