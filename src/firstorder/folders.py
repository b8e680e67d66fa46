"""Where files that can be made again are kept: caches, downloads, built libraries."""

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_root() -> Path:
    """Return the folder of all caches: FIRSTORDER_CACHE, else the user's cache folder."""
    chosen = os.environ.get("FIRSTORDER_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("firstorder")


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
