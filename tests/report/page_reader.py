"""Reads a page as a browser does: its text, its tags, what it would load."""

from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Text, tags and attributes of an HTML file; remembers tags that do not close where they should."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self.feed(self.source)
        self.unbalanced += self._open

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self._words.append(data)

    def loaded(self) -> list[str]:
        """What a browser would fetch or run, anything but data inside of the page and places on it."""
        wanted = [
            value or ""
            for _, attributes in self.tags
            for name, value in attributes.items()
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
        ]
        inline = ("data:image/", "#")
        outside = [value for value in wanted if not value.startswith(inline)]
        outside += [name for _, attributes in self.tags for name in attributes if name.startswith("on")]
        return outside + [tag for tag, _ in self.tags if tag in ("script", "iframe", "object", "embed", "link", "base")]

    def pictures(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]
