"""Folders: of what can be made again (caches, downloads, built libraries), and of results."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

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


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Yield a new folder whose files move into `folder` once all of them are written.

    Raises:
        ValueError: the file system refuses; the files that were there before stay as they are.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".new-", dir=folder) as name:
            yield (draft := Path(name))
            for file in sorted(path for path in draft.rglob("*") if path.is_file()):
                place = folder / file.relative_to(draft)
                place.parent.mkdir(parents=True, exist_ok=True)
                file.replace(place)
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written ({error}): make room, or name another folder"
        ) from error
