"""Archives from the net, opened with care: what is wrong with one is said in a sentence."""

import zipfile
import zlib
from pathlib import Path

ADVICE = "delete it and fetch it again"
MAX_ENTRY = 1 << 28  # bytes


def identity(*paths: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of change of files: the part of a cache's key that they decide."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


def is_html(head: bytes) -> bool:
    """Tell a web page, which a dead link often leaves under an archive's name, by its beginning."""
    start = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml"))


def refuse_web_page(path: Path) -> None:
    """Make sure that a file is neither empty nor a web page.

    Raises:
        ValueError: where it is.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise ValueError(f"{path} is empty: {ADVICE}")
    if is_html(head):
        raise ValueError(f"{path} is a web page saved under an archive's name: {ADVICE}")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip whose entries all stay inside it.

    Raises:
        ValueError: where it is a web page, no zip, truncated, or points outside of its folder.
    """
    refuse_web_page(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        with path.open("rb") as file:
            begins_well = file.read(4) == b"PK\x03\x04"
        reason = "a truncated zip archive" if begins_well else "not a zip archive"
        raise ValueError(f"{path} is {reason}: {ADVICE}") from None
    for name in archive.namelist():
        refuse_outside(name, path)
    return archive


def read_entry(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read one file of a zip.

    Raises:
        ValueError: where the entry is damaged, or far larger than any picture (a zip bomb).
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
        ValueError: where its name is absolute or climbs up.
    """
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        raise ValueError(
            f"{archive} holds the unsafe entry {name!r}, which lies outside its own folder"
        )
