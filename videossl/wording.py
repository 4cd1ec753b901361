"""Counts in words, as they stand in messages and pages."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """1 video, 2 videos, 5,400 videos."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
