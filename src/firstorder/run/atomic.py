"""Write files whole or not at all, so that a kill at any moment leaves the old one or the new one."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `path` once it is complete and on the disk.

    It is written beside its place: a rename is atomic within one file system only.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all; an infinite number is written as Python's Infinity."""
    with replacing(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
