"""Downloads that are checked, resumed, retried, and looked for in several places."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import requests
from filelock import FileLock
from tqdm import tqdm

from firstorder.data.images.archive import is_html
from firstorder.folders import cache_root, make_folder

ATTEMPTS = 4  # a mirror
PAUSE = 1.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = 30.0  # seconds without a byte


class Remote(NamedTuple):
    """Name a file on the net: its md5 (None where unknown) and the folders (URLs) that hold it."""

    file: str
    md5: str | None
    folders: tuple[str, ...]


class Unavailable(Exception):
    """Say why a place can't give a file; no further attempt there would help."""


def find(file: str, root: str, folder: str) -> Path | None:
    """Return a file of a data set under `root`, in its own folder there, or among the downloads."""
    places = (Path(root).expanduser(), Path(root).expanduser() / folder, downloads(folder))
    return next((place / file for place in places if (place / file).is_file()), None)


def downloads(folder: str) -> Path:
    """Return where the downloads of a data set are kept: `root` may be read-only."""
    return cache_root() / "downloads" / folder


def fetch(remote: Remote, folder: Path, mirror: str | None = None) -> Path:
    """Download a file into a folder unless it is there.

    A broken download goes on where it stopped, also in a later call; several processes may ask at
    once. The file gets its name only when it is whole and its checksum holds.

    Args:
        remote: what to fetch.
        folder: where to.
        mirror: a URL or a local folder to use in place of the public ones.

    Raises:
        ValueError: where no place gives the file.
    """
    target = folder / remote.file
    if target.exists():
        return target
    make_folder(folder)
    with FileLock(f"{target}.lock"):
        reasons = []
        for place in [mirror] if mirror else remote.folders:
            if target.exists():
                break
            try:
                _fetch_from(place, remote, target)
            except (Unavailable, requests.RequestException, OSError) as error:
                reasons.append(f"{place} {_reason(error)}")
    if not target.exists():
        raise ValueError(f"{remote.file} could not be downloaded: {'; '.join(reasons)}")
    return target


def md5(path: Path) -> str:
    """Return the md5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _fetch_from(place: str, remote: Remote, target: Path) -> None:
    """Get the file from one place, or raise."""
    if "://" not in place:
        source = Path(place).expanduser() / remote.file
        if not source.is_file():
            raise Unavailable("does not hold it")
        _accept(source, remote)
        target.symlink_to(source.resolve())
        return
    partial = target.with_name(target.name + ".part")
    url = f"{place.rstrip('/')}/{remote.file}"
    for attempt in range(ATTEMPTS):
        try:
            _transfer(url, partial)
            break
        except requests.RequestException:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE * 2**attempt)
    try:
        _accept(partial, remote)
    except Unavailable:
        partial.unlink()
        raise
    partial.replace(target)


def _transfer(url: str, partial: Path) -> None:
    """Append to a partial file what it lacks."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
        if reply.status_code == 416:  # nothing is missing
            return
        if 400 <= reply.status_code < 500 and reply.status_code not in (408, 429):
            raise Unavailable(f"answers {reply.status_code} {reply.reason}")
        reply.raise_for_status()
        if reply.status_code != 206:  # the server starts from the beginning
            have = 0
        length = int(reply.headers.get("Content-Length", 0))
        bar = tqdm(
            desc=partial.stem, total=have + length or None, initial=have, unit="B",
            unit_scale=True, disable=None,
        )  # fmt: skip
        with bar, partial.open("r+b" if have else "wb") as file:
            file.seek(have)
            got = 0
            for chunk in reply.iter_content(1 << 18):
                file.write(chunk)
                got += len(chunk)
                bar.update(len(chunk))
        if got < length:
            raise requests.exceptions.ChunkedEncodingError


def _accept(path: Path, remote: Remote) -> None:
    """Make sure that a file is no web page and has the right checksum."""
    with path.open("rb") as file:
        head = file.read(1024)
    if is_html(head):
        raise Unavailable("gives a web page in its place")
    if remote.md5 and md5(path) != remote.md5:
        raise Unavailable(f"gives a file whose md5 is not {remote.md5}")


def _reason(error: Exception) -> str:
    """Say in a few words why a place failed."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"does not answer within {TIMEOUT:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "breaks off"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return str(error)


def how_to_get(what: str, files: Sequence[str], root: str, folder: str) -> str:
    """Say which files a data set looks for, where, and how to name another place."""
    return (
        f"{what} needs {' and '.join(files)} in {Path(root).expanduser()} or its folder {folder}/: "
        "put the files there, or name their folder with data.root= or FIRSTORDER_DATA"
    )
