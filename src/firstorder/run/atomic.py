"""Write files whole or not at all, so that a kill at any moment leaves the old one or the new one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


class Unwritable(ValueError):
    """A file of a run cannot be written: the disk is full, the folder has gone or is not ours."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in a sentence which file could not be written.

    Raises:
        Unwritable: an error of the file system within the block.
    """
    try:
        yield
    except OSError as error:
        raise Unwritable(
            f"{path} cannot be written ({error.strerror or error}), so the run ends here; its last good"
            " checkpoint is as it was: when that is mended, go on with resume=auto or ckpt_path=..."
        ) from error


@contextmanager
def replacing(path: Path, earlier: int = 0) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` once it is complete and on the disk.

    It is written beside its place: a rename is atomic within one file system only.

    Args:
        path: the file.
        earlier: how many of the files that were there before stay, see `version`.

    Raises:
        Unwritable: the file system refuses.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        with writing(path):
            with draft.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            for age in reversed(range(earlier)):
                if (newer := version(path, age)).exists():
                    newer.replace(version(path, age + 1))
            draft.replace(path)
            sync_folder(path.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def version(path: Path, age: int) -> Path:
    """Return where an earlier version of a file lies: last.ckpt, last-1.ckpt, last-2.ckpt, ..."""
    return path.with_stem(f"{path.stem}-{age}") if age else path


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all; an infinite number is written as Python's Infinity."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
