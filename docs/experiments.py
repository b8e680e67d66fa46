"""Write the table of experiments into docs/paper.md, from the experiment files themselves.

python docs/experiments.py [--check]
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "paper.md"
BEGIN, END = "<!-- experiments: made by docs/experiments.py -->\n", "<!-- end of experiments -->"


def purpose(path: Path) -> str:
    """Return the comment at the top of a config, in one line."""
    lines = path.read_text().splitlines()[1:]
    comment = []
    for line in lines:
        if not line.startswith("# "):
            break
        if not line.startswith("# python "):
            comment.append(line[2:])
    return " ".join(comment)


def curve(path: Path) -> str:
    """Return the curve that an experiment without a comment of its own draws."""
    found = re.search(r"^  curve: (.*)$", path.read_text(), flags=re.M)
    assert found, path
    return f"Figure 3, the curve {found[1]}."


def table() -> str:
    """Return the table, a row an experiment or sweep."""
    rows = ["| Command | What it is |", "|---|---|"]
    for group in ("experiment", "sweep"):
        for path in sorted((ROOT / "conf" / group).glob("*.yaml")):
            what = purpose(path) or curve(path)
            rows.append(f"| `python src/train.py {group}={path.stem}` | {what} |")
    return "\n".join(rows) + "\n"


def filled(page: str) -> str:
    """Return the page with the table as it is now."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    text = PAGE.read_text()
    if "--check" in sys.argv and filled(text) != text:
        sys.exit("docs/paper.md lags behind conf/experiment: run python docs/experiments.py")
    PAGE.write_text(filled(text))
