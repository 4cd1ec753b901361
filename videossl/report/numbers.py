"""Numbers as people read them."""

import math
from typing import Literal

State = Literal["good", "watch", "bad", "none"]


def number(value: float) -> str:
    """About three digits: 0.0312, 0.93, 12.4, 5,400, 1.2e-05."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    size = abs(value)
    if size == 0 or (float(value).is_integer() and size < 1e7):
        return f"{value:,.0f}"
    if size < 1e-3 or size >= 1e7:
        return f"{value:.1e}"
    decimals = max(0, 2 - math.floor(math.log10(size)))
    return f"{value:,.{min(decimals, 4)}f}"


def score(value: float) -> str:
    """Two decimals, the form of all scores, so that they can be compared down a column; three where two say 0."""
    text = f"{value:.3f}" if 0.0005 <= abs(value) < 0.005 else f"{value:.2f}"
    return text.removeprefix("-") if float(text) == 0 else text


def listed(items: list[str], *, last: str = "and") -> str:
    """a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""
