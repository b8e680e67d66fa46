"""Where the configs and the commands lie: in the installed package, else in the repository."""

from pathlib import Path

PACKAGE = Path(__file__).parent
REPOSITORY = PACKAGE.parents[1]


def place(name: str, in_repository: str) -> Path:
    """Return the folder that a wheel carries as firstorder/`name`, or its original."""
    carried = PACKAGE / name
    return carried if carried.is_dir() else REPOSITORY / in_repository


CONF = place("conf", "conf")
COMMANDS = place("commands", "src")
