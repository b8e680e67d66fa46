"""The download of one file: checked, resumed and retried."""

import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import requests
from filelock import FileLock
from tqdm import tqdm

from firstorder.data.images.archive import is_html
from firstorder.folders import make_folder

ATTEMPTS = 4  # for each place that may hold the file
PAUSE = 1.0  # seconds before the second attempt, doubled before each further one
TIMEOUT = 30.0  # seconds without a byte


class RemoteFile(NamedTuple):
    """Describe a published file.

    Attributes:
        name: the file's name.
        md5: its checksum; None where none is published.
        folders: URLs of the folders that hold it, tried in this order.
    """

    name: str
    md5: str | None
    folders: tuple[str, ...]


class PermanentFailure(Exception):
    """Say why a place can't give a file where a further attempt would not help."""


def fetch_file(remote: RemoteFile, folder: Path, mirror: str | None = None) -> Path:
    """Download a file into a folder unless it is there.

    A broken download goes on where it stopped, also in a later call; several processes may ask at
    once. The file gets its name only when it is complete and its checksum is right.

    Args:
        remote: what to fetch.
        folder: where to.
        mirror: a URL or a local folder to use in place of the public ones.

    Raises:
        ValueError: no place gives the file; the sentence says why for each.
    """
    target = folder / remote.name
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
            except (PermanentFailure, requests.RequestException, OSError) as error:
                reasons.append(f"{place} {_reason(error)}")
    if not target.exists():
        raise ValueError(f"{remote.name} could not be downloaded: {'; '.join(reasons)}")
    return target


def _fetch_from(place: str, remote: RemoteFile, target: Path) -> None:
    """Link the file from a local folder, or download it from a URL, retrying after errors."""
    if "://" not in place:
        source = Path(place).expanduser() / remote.name
        if not source.is_file():
            raise PermanentFailure("does not hold it")
        _check(source, remote)
        target.symlink_to(source.resolve())
        return
    partial = target.with_name(target.name + ".part")
    url = f"{place.rstrip('/')}/{remote.name}"
    for attempt in range(ATTEMPTS):
        try:
            _transfer(url, partial)
            break
        except requests.RequestException:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE * 2**attempt)
    try:
        _check(partial, remote)
    except PermanentFailure:
        partial.unlink()
        raise
    partial.replace(target)


def _transfer(url: str, partial: Path) -> None:
    """Download the part of a file that `partial` does not hold yet, and append it."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as reply:
        if reply.status_code == 416:  # the range is empty: nothing is missing
            return
        if 400 <= reply.status_code < 500 and reply.status_code not in (408, 429):
            raise PermanentFailure(f"answers {reply.status_code} {reply.reason}")
        reply.raise_for_status()
        if reply.status_code != 206:  # the server cannot resume and sends the whole file
            have = 0
        length = int(reply.headers.get("Content-Length", 0))
        bar = tqdm(
            desc=partial.stem, total=have + length or None, initial=have, unit="B",
            unit_scale=True, disable=None,
        )  # fmt: skip
        with bar, partial.open("r+b" if have else "wb") as file:
            file.seek(have)
            received = 0
            for chunk in reply.iter_content(1 << 18):
                file.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
        if received < length:
            raise requests.exceptions.ChunkedEncodingError


def _check(path: Path, remote: RemoteFile) -> None:
    """Make sure that a file is no web page and has the right checksum."""
    with path.open("rb") as file:
        if is_html(file.read(1024)):
            raise PermanentFailure("gives a web page in its place")
        file.seek(0)
        if remote.md5 and hashlib.file_digest(file, "md5").hexdigest() != remote.md5:
            raise PermanentFailure(f"gives a file whose md5 is not {remote.md5}")


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
