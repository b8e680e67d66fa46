"""JSON files of run folders, read, and checked by the type of what they must hold."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from firstorder.settings import bound


class DamagedError(ValueError):
    """A file of a run folder is cut off, or does not hold what a run writes."""


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no such file.

    Raises:
        DamagedError: it is something else.
    """
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict) or not content:
        raise DamagedError(f"{path.name} cannot be read: it is cut off or not JSON")
    return content


def check_content(name: str, content: dict[str, Any], declared: Any, *, strict: bool = True) -> Any:
    """Check what a file holds by a dataclass or TypedDict, and return it as one.

    Args:
        name: of the file.
        content: all of it; what is not declared may be anything.
        declared: the type.
        strict: take a number for a number only, and not a text that looks like one.

    Raises:
        DamagedError: it is not of this type; the sentence names the first key that is wrong.
    """
    try:
        return TypeAdapter(declared).validate_python(content, strict=strict)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise DamagedError(f"{name} lacks {key}") from None
        raise DamagedError(f"{name} is damaged: {key} {bound(first)}") from None
