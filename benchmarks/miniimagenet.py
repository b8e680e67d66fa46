"""Measure how mini-ImageNet is prepared from every format, and how fast an episode is read.

The formats are made of CIFAR-FS, enlarged to 84x84: it has the same 64, 16 and 20 classes of 600
images. Needs its `cifar100.zip` (see docs/data.md) and 8 GB of disk for a while.
FIRSTORDER_DATA=... python benchmarks/miniimagenet.py [format ...]
"""

import io
import json
import multiprocessing
import os
import pickle
import re
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from firstorder.data import CifarFS, MiniImageNet
from firstorder.data.images import wnids

OUT = Path("outputs/benchmarks")
LIMIT_MIB, LIMIT_MS = 1536, 2.0
Images = dict[str, np.ndarray]  # a class's images, (600, 84, 84, 3)


def enlarged() -> Images:
    """Return the images of CIFAR-FS under the names of mini-ImageNet's classes."""
    source = CifarFS(os.environ.get("FIRSTORDER_DATA", "data"), image_size=84)
    source.prepare()
    cache = source._opened()
    parts = np.split(cache.pixels.transpose(0, 2, 3, 1), cache.offsets[1:-1])
    return dict(zip(wnids.WNIDS, parts, strict=True))


def write_pickles(folder: Path, images: Images) -> None:
    """Write one pickle a split."""
    for split, labels in wnids.SPLITS.items():
        places = np.arange(len(labels) * wnids.IMAGES).reshape(len(labels), -1).tolist()
        content = {
            "image_data": np.concatenate([images[wnid] for wnid in labels]),
            "class_dict": dict(zip(labels, places, strict=True)),
        }
        with (folder / f"mini-imagenet-cache-{split}.pkl").open("wb") as file:
            pickle.dump(content, file)


def write_tar(folder: Path, images: Images) -> None:
    """Write the pickles into one tar.gz."""
    write_pickles(folder, images)
    with tarfile.open(folder / "mini-imagenet.tar.gz", "w:gz", compresslevel=1) as tar:
        for path in sorted(folder.glob("*.pkl")):
            tar.add(path, path.name)
            path.unlink()


def write_csvs(folder: Path, images: Images) -> None:
    """Write one folder of images and three lists."""
    (folder / "images").mkdir()
    for split, labels in wnids.SPLITS.items():
        rows = [f"{wnid}{i:08}.jpg,{wnid}" for wnid in labels for i in range(wnids.IMAGES)]
        (folder / f"{split}.csv").write_text("\n".join(["filename,label", *rows]))
        for wnid in labels:
            for i, image in enumerate(images[wnid]):
                (folder / "images" / f"{wnid}{i:08}.jpg").write_bytes(png(image))


def write_folders(folder: Path, images: Images) -> None:
    """Write one folder of images a class."""
    for split, labels in wnids.SPLITS.items():
        for wnid in labels:
            (folder / split / wnid).mkdir(parents=True)
            for i, image in enumerate(images[wnid]):
                (folder / split / wnid / f"{wnid}_{i}.JPEG").write_bytes(png(image))


def write_training_tar(folder: Path, images: Images) -> None:
    """Write a tar of one tar a class."""
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as tar:
        for wnid in sorted(images):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as inner:
                for i, image in enumerate(images[wnid]):
                    add(inner, f"{wnid}_{i}.JPEG", png(image))
            add(tar, f"{wnid}.tar", buffer.getvalue())


def png(image: np.ndarray) -> bytes:
    """Encode an image without loss."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


FORMATS: dict[str, Callable[[Path, Images], None]] = {
    "pickle": write_pickles,
    "tar": write_tar,
    "csv": write_csvs,
    "folders": write_folders,
    "ilsvrc": write_training_tar,
}


def measure(folder: Path, results: "multiprocessing.Queue[dict[str, object]]") -> None:
    """Prepare a copy in this fresh process, draw episodes, and report."""
    os.environ["FIRSTORDER_CACHE"] = str(folder / "cache")
    source = MiniImageNet(str(folder), download=False)
    start = time.perf_counter()
    source.prepare()
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory too
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]
    rng, times = np.random.default_rng(0), []
    for _ in range(500):
        start = time.perf_counter()
        task = source.draw("train", rng, ways=5, shots=15, query_shots=0)
        times.append(time.perf_counter() - start)
    results.put(
        {
            "prepare_seconds": round(seconds, 1),
            "peak_mib": round(peak),
            "draw_ms": round(1000 * float(np.median(times)), 3),
            "fingerprint": source.fingerprint[:16],
            "last_episode": int(task.support_x.sum(dtype=np.int64)),
        }
    )


def main() -> None:
    """Make each format, prepare it, and print a line on it."""
    images = enlarged()
    context = multiprocessing.get_context("spawn")
    table = {}
    for name in sys.argv[1:] or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            FORMATS[name](Path(folder), images)
            results = context.Queue()
            process = context.Process(target=measure, args=(Path(folder), results))
            process.start()
            table[name] = results.get()
            process.join()
        print(f"{name:8}", json.dumps(table[name]), flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "miniimagenet.json").write_text(json.dumps(table, indent=1))
    assert len({row["fingerprint"] for row in table.values()}) == 1, "fingerprints differ"
    assert len({row["last_episode"] for row in table.values()}) == 1, "episodes differ"
    assert all(row["peak_mib"] < LIMIT_MIB for row in table.values()), "too much memory"
    assert all(row["draw_ms"] < LIMIT_MS for row in table.values()), "too slow"


if __name__ == "__main__":
    main()
