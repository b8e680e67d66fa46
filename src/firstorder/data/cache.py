"""The cache of a data set: all its images in one memory-mapped file of bytes.

A cache is a folder `<name>-<identity>` with two files: `pixels.bin`, the images of class after
class as (C, H, W) bytes, and `index.json`, which says whose they are. It is written beside its
final place and renamed once it is whole, so that a folder of that name is always sound.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from platformdirs import user_cache_path

from firstorder.data.picture import Pictures

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
        raise unwritable(folder, error) from None


def unwritable(folder: Path, error: OSError) -> ValueError:
    """Say that a cache folder can't be written, and what to do."""
    return ValueError(
        f"The cache folder {folder} cannot be written ({error.strerror}): "
        "set FIRSTORDER_CACHE to a folder that can be"
    )


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
