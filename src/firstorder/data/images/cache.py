"""The cache of a data set: all its images in one memory-mapped file of bytes.

A cache is a folder `<name>-<digest of its key>` with two files: `pixels.bin`, the images of class
after class as (C, H, W) bytes, and `index.json`, which lists the classes. It is written under another
name and renamed once it is complete, so that a folder of that name is never half written.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from firstorder.data.images.pictures import Pictures
from firstorder.folders import cache_root

VERSION = 1  # of this layout; caches of another number are not read

ReadClass = Callable[[], Pictures]  # a function that decodes the images of one class


class Cache(NamedTuple):
    """An opened cache.

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


def cache_folder(name: str, key: dict[str, object]) -> Path:
    """Return the folder of a data set's cache; another key gives another folder."""
    text = json.dumps({"version": VERSION, **key}, sort_keys=True)
    return cache_root() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def open_cache(folder: Path) -> Cache:
    """Map a cache that `build` wrote into memory.

    Raises:
        ValueError: files of the cache are damaged.
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
