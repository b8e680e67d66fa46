"""How Sphinx makes a site of these pages: `make docs`, offline, every warning an error."""

import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_type_hints

import firstorder

ROOT = Path(__file__).resolve().parents[1]
# Pages that are files of the root, included.
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}

project = "firstorder"
copyright = "firstorder contributors"
release = version = firstorder.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3  # links to headings, as GitHub makes them
highlight_language = "none"
nb_execution_mode = "off"  # notebooks carry their outputs: `make notebooks`
nb_ipywidgets_js = {}  # nothing is loaded from elsewhere
nb_merge_streams = True
smartquotes = False  # a prime is a derivative
default_role = "literal"  # docstrings write `names` so

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 90
napoleon_attr_annotations = False  # signatures have the types
napoleon_use_ivar = True  # attributes are described with their class

html_theme = "furo"
html_title = "firstorder"
html_copy_source = False

linkcheck_timeout = 20

# What signatures call the types that have names in the code.
TENSOR = re.escape("~torch.Tensor")
NAMED = {
    rf"~collections\.abc\.Callable\[\[{TENSOR}, {TENSOR}, {TENSOR}\], {TENSOR}\]": "Loss",
    rf"(?<=batch: )tuple\[{TENSOR}, {TENSOR}\]": "Batch",
    rf"(?<=\[)tuple\[{TENSOR}, {TENSOR}\](?=\])": "Batch",
    rf"tuple\[{TENSOR}, \.\.\.\]": "State",
    rf"(?<=meta: )dict\[str, {TENSOR}\]": "Meta",
}


def with_the_roots_files(app: Any, name: str, source: list[str]) -> None:
    """Put in what a page includes from the folder above, its links as they are seen from here."""

    def link(match: re.Match[str]) -> str:
        path, hash_, heading = match[1].partition("#")
        here = (
            path.removeprefix("docs/")
            if path.startswith("docs/")
            else PAGES.get(path, f"../{path}")
        )
        return f"]({here}{hash_}{heading})"

    def text(match: re.Match[str]) -> str:
        app.env.note_dependency(str(ROOT / match[1]))
        return re.sub(r"\]\((?!\w+:|#)([^)]+)\)", link, (ROOT / match[1]).read_text())

    source[0] = re.sub(r"```\{include\} \.\./(\w+\.md)\n```", text, source[0])


def without_bounds(app: Any, function: Callable[..., Any], bound_method: bool) -> None:
    """Take the bounds out of a signature's types: `Count` is shown as int."""
    written = inspect.unwrap(function)
    if not str(written.__module__).startswith("firstorder"):
        return
    with suppress(NameError):  # of a type that only type checkers import
        written.__annotations__ = get_type_hints(written)


def with_names(
    app: Any, what: str, name: str, item: object, options: object, signature: str, returned: str
) -> tuple[str | None, str | None]:
    """Call the types of a signature by their names."""

    def named(text: str | None) -> str | None:
        for pattern, short in NAMED.items():
            text = text and re.sub(pattern, short, text)
        return text

    return named(signature), named(returned)


def as_meant(
    app: Any, what: str, name: str, item: object, options: object, lines: list[str]
) -> None:
    """Keep more from being read into a docstring than it says: bars are a norm, a colon is a colon."""
    lines[:] = [line.replace("|", r"\|") for line in lines]
    if what == "property":  # else Napoleon takes what stands before a colon for its type
        lines.insert(0, "")


def skipped(
    app: Any, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """Leave out the fields of named tuples, which their class describes."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Any) -> None:
    """Tell Sphinx of what is done differently here."""
    app.connect("source-read", with_the_roots_files)
    app.connect("autodoc-before-process-signature", without_bounds)
    app.connect("autodoc-process-signature", with_names)
    app.connect("autodoc-process-docstring", as_meant, priority=400)
    app.connect("autodoc-skip-member", skipped)
