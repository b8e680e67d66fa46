"""A report as Markdown and as one self-contained HTML page."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from firstorder.results.markdown import markdown

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True)
class Picture:
    """A figure that lies below the report's folder.

    Attributes:
        path: of the file that is shown.
        caption: below it.
    """

    path: Path
    caption: str


@dataclass
class Section:
    """A heading, and what stands under it: sentences, then tables, then pictures.

    Attributes:
        title: the heading.
        text: paragraphs; `code` and **bold** are marked as in Markdown.
        tables: (caption, table of texts).
        pictures: figures.
    """

    title: str
    text: list[str] = field(default_factory=list)
    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The heading as a link's target."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def as_markdown(title: str, sections: Sequence[Section], folder: Path) -> str:
    """Return the report in Markdown, with links to the pictures in its folder."""
    parts = [f"# {title}\n"]
    for section in sections:
        parts.append(f"## {section.title}\n")
        parts += [f"{paragraph}\n" for paragraph in section.text]
        for caption, table in section.tables:
            parts += [f"{caption}:\n"] if caption else []
            parts.append(markdown(table))
        for picture in section.pictures:
            link = picture.path.relative_to(folder).as_posix()
            parts.append(f"![{section.title}]({link})\n\n{picture.caption}\n")
    return "\n".join(parts)


def as_html(title: str, sections: Sequence[Section]) -> str:
    """Return the report as one HTML page that holds its pictures and loads nothing."""
    environment = Environment(
        loader=PackageLoader("firstorder.results", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"inline": inline, "data_uri": data_uri}
    return environment.get_template("page.html.jinja").render(title=title, sections=sections)


def inline(text: object) -> Markup:
    """Turn Markdown's `code` and **bold** into HTML, and nothing else."""
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", marked))


def data_uri(path: Path) -> str:
    """Return a picture as a link that holds it."""
    return f"data:{TYPES[path.suffix]};base64,{b64encode(path.read_bytes()).decode()}"
