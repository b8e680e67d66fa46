"""Files of Optuna's searches, looked at without being changed."""

import sqlite3
from contextlib import closing
from pathlib import Path

TABLES = ("studies", "version_info")  # among those that Optuna makes in whatever database it opens


def holds_study(file: Path) -> bool:
    """Tell whether a file is a database of Optuna's."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            names = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.DatabaseError:
        return False
    return names.issuperset(TABLES)
