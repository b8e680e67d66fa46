"""What the pages for readers hold: their code, commands, examples and links."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted(path for path in (ROOT / "docs").glob("*/**/*.md") if "_build" not in path.parts)
RUN = re.compile(r"(?:python|torchrun|srun)\b.*?\bsrc/(\w+)\.py\b(.*)|^firstorder (\w+)(.*)")
MADE = r"<!-- experiments: .*?<!-- end of experiments -->"  # from configs that other tests compose


class Command(NamedTuple):
    """A command on a page: its script's name, its words as they stand there, and its overrides, one
    list a job of a sweep."""

    page: Path
    line: str
    script: str
    words: tuple[str, ...]
    jobs: tuple[tuple[str, ...], ...]


def tokens(page: Path) -> list[Token]:
    """Return what a page consists of, the parts of its paragraphs and tables included."""
    text = re.sub(MADE, "", page.read_text(), flags=re.S)
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    return [each for block in blocks for each in (block, *(block.children or ()))]


def shell_lines(page: Path) -> Iterator[str]:
    """Yield the lines of a page's blocks without a language or in sh, and its code between backticks."""
    for token in tokens(page):
        is_shell = token.type == "fence" and token.info in ("", "sh")
        if is_shell or token.type in ("code_block", "code_inline"):
            yield from re.sub(r"\\\n", " ", token.content).splitlines()


def links(page: Path) -> list[str]:
    """Return where the links and the images of a page lead, within the project."""
    found = [token.attrGet("href") or token.attrGet("src") for token in tokens(page)]
    return [str(link) for link in found if link and "://" not in str(link)]


def examples(page: Path) -> dict[str, str]:
    """Return the files that a reader pastes from a page, whole."""
    blocks = re.findall(
        r"`([\w/.]+)`:\n\n```(?:python|yaml)\n(.*?)```", page.read_text(), flags=re.S | re.M
    )
    return dict(blocks)


def commands(page: Path) -> Iterator[Command]:
    """Yield the commands of a page; what the reader is to fill in, key=..., is left out."""
    for line in shell_lines(page):
        if found := RUN.search(line):
            script, arguments = found[1] or found[3], found[2] or found[4] or ""
            arguments = re.split(r"\s(?:\|\|?|&&|;)\s", re.sub(r"\$\w+", "0", arguments))[0]
            words = shlex.split(arguments, comments=True)
            overrides = [w for w in words if re.match(r"[~+]*[\w./@]+=(?!\.\.\.$)", w)]
            yield Command(page, line, script, tuple(words), jobs(overrides))


def jobs(overrides: list[str]) -> tuple[tuple[str, ...], ...]:
    """Spread overrides such as algo=reptile,maml over the jobs that they ask for, each value in one."""
    choices = []
    for override in OverridesParser.create().parse_overrides(overrides):
        key, values = override.key_or_group, []
        if override.is_sweep_override():
            values = list(override.sweep_string_iterator())[: 1 if key == "seed" else None]
        choices.append([f"{key}={value}" for value in values] or [str(override.input_line)])
    number = max(map(len, choices), default=1)
    return tuple(tuple(c[min(i, len(c) - 1)] for c in choices) for i in range(number))
