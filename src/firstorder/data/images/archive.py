"""Archives from the internet, opened with care: what is wrong with one is said in a sentence."""

import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from firstorder.data.images.pictures import Pictures, Target, read_pictures

ADVICE = "delete it and fetch it again"
MAX_ENTRY = 1 << 28  # bytes; no image in an archive is as large


def identity(*paths: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of files: their part in the key of a cache."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def is_html(head: bytes) -> bool:
    """Tell from a file's first bytes whether it is a web page.

    A dead link often answers with one, which is then saved under the archive's name.
    """
    start = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml"))


def refuse_web_page(path: Path) -> None:
    """Make sure that a file is neither empty nor a web page.

    Raises:
        ValueError: it is.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise ValueError(f"{path} is empty: {ADVICE}")
    if is_html(head):
        raise ValueError(f"{path} is a web page saved under an archive's name: {ADVICE}")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive, and make sure that none of its entries points outside of it.

    Raises:
        ValueError: it is a web page, no zip, truncated, or has an entry that points outside.
    """
    refuse_web_page(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        with path.open("rb") as file:
            begins_as_zip = file.read(4) == b"PK\x03\x04"
        reason = "a truncated zip archive" if begins_as_zip else "not a zip archive"
        raise ValueError(f"{path} is {reason}: {ADVICE}") from None
    for name in archive.namelist():
        refuse_outside(name, path)
    return archive


def group_images(archive: zipfile.ZipFile) -> dict[PurePosixPath, list[str]]:
    """Group the PNG images of a zip by the folder they lie in, sorted by name; hidden files left out."""
    groups = defaultdict(list)
    for entry in sorted(archive.namelist()):
        path = PurePosixPath(entry)
        if path.suffix == ".png" and not path.name.startswith("."):
            groups[path.parent].append(entry)
    return groups


def read_images(archive: zipfile.ZipFile, entries: Sequence[str], target: Target) -> Pictures:
    """Read the images of a class from entries of a zip."""
    return read_pictures(
        ((entry, partial(read_entry, archive, entry)) for entry in entries), target
    )


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read one file of a zip.

    Raises:
        ValueError: the entry is damaged, or far larger than any image (a zip bomb).
    """
    if archive.getinfo(name).file_size > MAX_ENTRY:
        raise ValueError(f"{name} in {archive.filename} unpacks to more than {MAX_ENTRY} bytes")
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{name} in {archive.filename} is damaged ({error}): {ADVICE}") from None


def refuse_outside(name: str, archive: Path) -> None:
    """Refuse an entry of an archive that would land outside of the folder it is unpacked in.

    Raises:
        ValueError: its name is absolute or leads upwards.
    """
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        raise ValueError(
            f"{archive} holds the unsafe entry {name!r}, which lies outside its own folder"
        )
