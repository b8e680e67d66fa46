"""The cache of a data set: all its images in one memory-mapped file of bytes.

A cache is a folder `<name>-<identity>` with two files: `pixels.bin`, the images of class after
class as (C, H, W) bytes, and `index.json`, which says whose they are. It is written beside its
final place and renamed once it is whole, so that a folder of that name is always sound.
"""

import hashlib
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock
from platformdirs import user_cache_path
from tqdm import tqdm

from firstorder.data.picture import Pictures

logger = logging.getLogger(__name__)

VERSION = 1  # of the layout above; a new number leaves older caches unread

ReadClass = Callable[[], Pictures]  # decodes the images of one class


class Cache(NamedTuple):
    """Hold an opened cache.

    Attributes:
        pixels: (images, C, H, W) uint8, mapped from the file.
        names: the classes in their order.
        offsets: (classes + 1,) int64; class i is `pixels[offsets[i]:offsets[i + 1]]`.
        fingerprint: hex digest of the classes' names and pixels.
        bad: the images that were left out, "path reason" each.
    """

    pixels: np.ndarray
    names: list[str]
    offsets: np.ndarray
    fingerprint: str
    bad: list[str]


def cache_root() -> Path:
    """Return the folder of all caches: FIRSTORDER_CACHE, else the user's cache folder."""
    chosen = os.environ.get("FIRSTORDER_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("firstorder")


def cache_folder(name: str, key: dict[str, object]) -> Path:
    """Return where a data set with these settings is kept; other settings, another folder."""
    text = json.dumps({"version": VERSION, **key}, sort_keys=True)
    return cache_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def make_folder(folder: Path) -> None:
    """Make a folder for caches or downloads, or say that it can't be written.

    Raises:
        ValueError: where the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise ValueError(
            f"The cache folder {folder} cannot be written ({error.strerror}): "
            "set FIRSTORDER_CACHE to a folder that can be"
        ) from None


def build(
    folder: Path,
    classes: Callable[[], Iterable[tuple[str, ReadClass]]],
    *,
    skip_bad: bool | None = None,
) -> None:
    """Write the cache unless it is there; of several processes one writes and the others wait.

    Classes are decoded by several threads and written in the order given. What an interrupted call
    has written is checked and kept by the next one.

    Args:
        folder: where the cache belongs, see `cache_folder`.
        classes: gives (name, function that decodes its images) in a fixed order.
        skip_bad: leave out images that can't be read; None where the user has no such choice.

    Raises:
        ValueError: the folder can't be written, or images can't be read.
    """
    if folder.exists():
        return
    make_folder(folder.parent)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            partial = folder.with_name(folder.name + ".partial")
            make_folder(partial)
            entries = _write(partial, classes())
            bad = [complaint for entry in entries for complaint in entry["bad"]]
            if bad and not skip_bad:
                shutil.rmtree(partial)  # so that the next call reads them again
                raise ValueError(_complain(bad, may_skip=skip_bad is not None))
            index = {"classes": entries, "fingerprint": _fingerprint(entries)}
            (partial / "index.json").write_text(json.dumps(index))
            (partial / "journal.jsonl").unlink()
            partial.rename(folder)


def open_cache(folder: Path) -> Cache:
    """Map a cache that `build` wrote into memory.

    Raises:
        ValueError: where files of the cache are damaged.
    """
    try:
        index = json.loads((folder / "index.json").read_text())
        entries = index["classes"]
        shape = (sum(entry["images"] for entry in entries), *entries[0]["shape"])
        pixels = np.memmap(folder / "pixels.bin", np.uint8, mode="r", shape=shape)
        if pixels.size != (folder / "pixels.bin").stat().st_size:
            raise ValueError("more pixels than the index says")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"The cache {folder} is damaged ({error}): delete that folder") from None
    return Cache(
        pixels=np.asarray(pixels),  # a plain array on the same memory: its indexing is faster
        names=[entry["name"] for entry in entries],
        offsets=np.cumsum([0, *(entry["images"] for entry in entries)]),
        fingerprint=index["fingerprint"],
        bad=[complaint for entry in entries for complaint in entry["bad"]],
    )


def _write(partial: Path, classes: Iterable[tuple[str, ReadClass]]) -> list[dict]:
    """Append the classes to the pixels, each followed by its line in the journal."""
    done = _resume(partial)
    entries = list(done)
    with (
        (partial / "pixels.bin").open("ab") as pixels,
        (partial / "journal.jsonl").open("a") as log,
    ):
        for name, images in _decode(classes, skip=[entry["name"] for entry in done]):
            block = np.ascontiguousarray(images.pixels.transpose(0, 3, 1, 2))
            assert block.dtype == np.uint8, name
            entry = {
                "name": name,
                "images": len(block),
                "shape": block.shape[1:],
                "sha256": hashlib.sha256(block.data).hexdigest(),
                "bad": images.bad,
            }
            assert not entries or tuple(entries[0]["shape"]) == entry["shape"], name
            pixels.write(block.data)
            pixels.flush()
            log.write(json.dumps(entry) + "\n")
            log.flush()
            entries.append(entry)
    return entries


def _resume(partial: Path) -> list[dict]:
    """Return the journal's classes whose pixels are whole, and cut off what follows them."""
    journal, pixels = partial / "journal.jsonl", partial / "pixels.bin"
    lines = journal.read_text().splitlines() if journal.exists() else []
    entries: list[dict] = []
    pixels.touch()
    with pixels.open("r+b") as file:
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                break
            block = file.read(entry["images"] * int(np.prod(entry["shape"])))
            if hashlib.sha256(block).hexdigest() != entry["sha256"]:
                break
            entries.append(entry)
        file.truncate(sum(e["images"] * int(np.prod(e["shape"])) for e in entries))
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return entries


def _decode(
    classes: Iterable[tuple[str, ReadClass]], skip: list[str]
) -> Iterator[tuple[str, Pictures]]:
    """Decode the classes that are not to be skipped, a few ahead of the one that is handed out."""
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[tuple[str, Future[Pictures]]] = deque()
    skipped = set(skip)
    bar = tqdm(desc="preparing", unit=" classes", disable=None)
    with bar, ThreadPoolExecutor(workers) as pool:
        for name, read in classes:
            bar.update()
            if name in skipped:
                continue
            waiting.append((name, pool.submit(read)))
            if len(waiting) > workers:
                ready, future = waiting.popleft()
                yield ready, future.result()
        while waiting:
            ready, future = waiting.popleft()
            yield ready, future.result()


def _fingerprint(entries: list[dict]) -> str:
    """Digest names, sizes and pixels of all classes."""
    content = [[entry[key] for key in ("name", "images", "shape", "sha256")] for entry in entries]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _complain(bad: list[str], may_skip: bool) -> str:
    """Log every image that can't be read, and return a sentence on them."""
    for complaint in bad:
        logger.error(complaint)
    some = "; ".join(bad[:5]) + ("; ..." if len(bad) > 5 else "")
    choice = ", or leave them out with data.source.skip_bad_images=true" if may_skip else ""
    return f"{len(bad)} of the images cannot be used ({some}): repair or remove them{choice}"
