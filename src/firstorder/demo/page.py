"""The page as one HTML file: its template, its style and its scripts put together."""

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PARTS = Path(__file__).parent / "page_parts"
# What the browser may do on the page: nothing is loaded from anywhere but the page itself.
CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'"
POLICY = f"{CLOSED}; style-src 'unsafe-inline'; img-src data:"
SERVED = f"{POLICY}; script-src 'unsafe-inline'; connect-src 'self'"
FROM_DISK = f"{POLICY}; script-src 'unsafe-inline' 'wasm-unsafe-eval' blob:"


def write_page(about: dict[str, Any], answers: str, file: dict[str, str] | None = None) -> str:
    """Return the page.

    Args:
        about: what the scripts have to know of each tab; None for one that has no learner.
        answers: the script that answers, by a server or in the browser.
        file: what a page that opens from disk carries: its networks as JSON, and the script and the
            binary that run them.
    """
    environment = Environment(
        loader=FileSystemLoader(PARTS), undefined=StrictUndefined, autoescape=False
    )
    # "</" would end a script; in JSON "<\\/" is the same text.
    known = json.dumps(about).replace("</", "<\\/")
    return environment.get_template("page.html.jinja").render(
        about=known, waves=about["waves"], answers=answers, file=file,
        policy=FROM_DISK if file else SERVED,
    )  # fmt: skip


def inlined(data: bytes) -> str:
    """Return bytes as text for a page."""
    return base64.b64encode(data).decode()
