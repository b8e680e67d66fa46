"""Tables as Markdown."""

import pandas as pd


def markdown(table: pd.DataFrame) -> str:
    """Return a table of texts and numbers in Markdown, ending in a newline."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "".join(f"| {' | '.join(str(cell).strip() for cell in row)} |\n" for row in rows)
