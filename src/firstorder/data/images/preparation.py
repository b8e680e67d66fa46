"""The preparation of a data set: its images are decoded once and written into a cache."""

import hashlib
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from firstorder.data.images.cache import ReadClass
from firstorder.data.images.pictures import Pictures
from firstorder.folders import make_folder, unwritable

logger = logging.getLogger(__name__)


def build(
    folder: Path,
    classes: Callable[[], Iterable[tuple[str, ReadClass]]],
    *,
    skip_bad: bool | None = None,
) -> None:
    """Write the cache unless it is there; of several processes one writes and the others wait.

    Classes are decoded by several threads and written in the order given. The classes that an
    interrupted call has written are checked, and the next call goes on behind them.

    Args:
        folder: where the cache belongs, see `cache_folder`.
        classes: yields (name, function that decodes its images) in a fixed order.
        skip_bad: leave out images that can't be read; None where the user has no such choice.

    Raises:
        ValueError: the folder can't be written, or images can't be read.
    """
    if folder.exists():
        return
    make_folder(folder.parent)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = folder.with_name(folder.name + ".partial")
            make_folder(unfinished)
            entries = _write(unfinished, classes())
            bad = [complaint for entry in entries for complaint in entry["bad"]]
            if bad and not skip_bad:
                shutil.rmtree(unfinished)  # so that the next call reads the repaired images
                raise ValueError(_report_bad_images(bad, may_skip=skip_bad is not None))
            index = {"classes": entries, "fingerprint": _fingerprint(entries)}
            (unfinished / "index.json").write_text(json.dumps(index))
            (unfinished / "journal.jsonl").unlink()
            unfinished.rename(folder)


def _write(unfinished: Path, classes: Iterable[tuple[str, ReadClass]]) -> list[dict]:
    """Append every class to the pixels and then its entry to the journal; return the entries."""
    entries = _resume(unfinished)
    for name, images in _decode(classes, skip=[entry["name"] for entry in entries]):
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
        _append(unfinished / "pixels.bin", block.data)
        _append(unfinished / "journal.jsonl", f"{json.dumps(entry)}\n".encode())
        entries.append(entry)
    return entries


def _append(path: Path, data: bytes | memoryview) -> None:
    try:
        with path.open("ab") as file:
            file.write(data)
    except OSError as error:  # the disk is full, say
        raise unwritable(path.parent, error) from None


def _resume(unfinished: Path) -> list[dict]:
    """Return the journal's entries up to the first whose pixels are damaged; cut off the rest."""
    journal, pixels = unfinished / "journal.jsonl", unfinished / "pixels.bin"
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
    """Decode the classes that are not in `skip`, in order, in several threads.

    The threads work only a few classes ahead, so that few decoded images wait in memory.
    """
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


def _report_bad_images(bad: list[str], may_skip: bool) -> str:
    """Log every image that can't be read, and return a sentence about them."""
    for complaint in bad:
        logger.error(complaint)
    some = "; ".join(bad[:5]) + ("; ..." if len(bad) > 5 else "")
    choice = ", or leave them out with data.source.skip_bad_images=true" if may_skip else ""
    return f"{len(bad)} of the images cannot be used ({some}): repair or remove them{choice}"
