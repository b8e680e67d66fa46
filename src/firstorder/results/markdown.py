"""Tables as Markdown."""

import pandas as pd


def markdown(table: pd.DataFrame) -> str:
    """Return a table of texts and numbers in Markdown, ending in a newline."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(escape(cell) for cell in row)} |\n" for row in rows)


def escape(cell: object) -> str:
    """Write a cell so that it stays within its column."""
    return " ".join(str(cell).split()).replace("|", "\\|")
