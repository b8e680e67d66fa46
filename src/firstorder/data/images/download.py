"""The published files of a data set: where they are looked for, and how they are got."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firstorder.data.images.fetch import RemoteFile, fetch_file
from firstorder.folders import cache_root


@dataclass(frozen=True, kw_only=True)
class Download:
    """Find the published files of a data set on disk, or fetch them from where they are published.

    Attributes:
        title: the data set's name in sentences.
        folder: the name of its own folder, below `data.root` and below the downloads.
        url: the public folder that holds the files.
        md5: the files by name, each with its checksum, or None where none is published.
        needs: what the data set needs, in words; the names of the files where empty.
    """

    title: str
    folder: str
    url: str
    md5: Mapping[str, str | None]
    needs: str = ""

    @property
    def cache(self) -> Path:
        """Folder that downloads are kept in: `data.root` may be read-only."""
        return cache_root() / "downloads" / self.folder

    def find(self, root: str) -> list[Path]:
        """Return the path of every file.

        Each is looked for in `root`, in the data set's own folder there, and among the downloads.

        Raises:
            ValueError: a file is in none of these; the sentence says how to get it.
        """
        paths = [self._path(file, root) for file in self.md5]
        present = [path for path in paths if path is not None]
        if len(present) < len(paths):
            raise ValueError(
                f"{self.how_to_get(root)}, or let them be fetched with data.source.download=true"
            )
        return present

    def fetch(self, root: str, mirror: str | None) -> None:
        """Download the files that are not there, from `mirror` (URL or folder) where one is given.

        Raises:
            ValueError: a file can't be downloaded; the sentence says why, and how to get it by hand.
        """
        for file, md5 in self.md5.items():
            if self._path(file, root) is None:
                try:
                    fetch_file(RemoteFile(file, md5, (self.url,)), self.cache, mirror)
                except ValueError as error:
                    raise ValueError(f"{self.how_to_get(root)} ({error})") from None

    def how_to_get(self, root: str) -> str:
        """Say what the data set needs, where it is looked for, and how to name another place."""
        needs = self.needs or f"{' and '.join(self.md5)} (from {self.url})"
        return (
            f"{self.title} needs {needs} in {Path(root).expanduser()} or its folder {self.folder}/: "
            "put that there, or name another folder with data.root= or FIRSTORDER_DATA"
        )

    def _path(self, file: str, root: str) -> Path | None:
        folders = (Path(root).expanduser(), Path(root).expanduser() / self.folder, self.cache)
        return next((folder / file for folder in folders if (folder / file).is_file()), None)
