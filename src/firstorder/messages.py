"""Parts of error messages: suggest the nearest known name, check a choice, print tables."""

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 160  # characters of a line in a file, where no terminal says how many fit


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ", did you mean ...?" for the nearest known name, or a list of them all."""
    names = sorted(str(other) for other in known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    dot = f"{prefix}." if prefix else ""
    if close:
        return f", did you mean {dot}{close[0]}?"
    return f"; there are: {', '.join(names)}" if names else "; there are none here"


def one_of(key: str, value: str, known: Iterable[str]) -> None:
    """Check that the setting `key` is one of the known values.

    Raises:
        ValueError: it is not; the sentence names the nearest.
    """
    if value not in (names := list(known)):
        raise ValueError(f"{key}={value} is not known{nearest(value, names)}")


def console() -> "Console":
    """Return what prints tables: a terminal's width, and in a file enough for all of their columns."""
    from rich.console import Console

    is_told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(soft_wrap=True, width=None if is_told else WIDE)
