"""A contact sheet of what was found: one PNG, one HTML page that needs nothing else."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image, ImageDraw, ImageFont

from videossl.files import replacing
from videossl.search.pictures import HEIGHT, WIDTH, Picture

COLUMNS, GAP, CAPTION = 5, 12, 40
PAPER, INK, QUIET, EMPTY = (255, 255, 255), (30, 30, 30), (110, 110, 110), (228, 228, 228)


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet with two lines below it."""

    picture: Picture
    title: str
    text: str


def write_png(path: Path, query: Tile, found: Sequence[Tile]) -> None:
    """Write the sheet as a picture: the query first, then what was found in order."""
    tiles = [query, *found]
    columns = min(COLUMNS, len(tiles))
    num_lines = -(-len(tiles) // columns)
    width, height = WIDTH + GAP, HEIGHT + CAPTION + GAP
    sheet = Image.new("RGB", (columns * width + GAP, num_lines * height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    for number, tile in enumerate(tiles):
        left, top = GAP + number % columns * width, GAP + number // columns * height
        _draw_tile(sheet, draw, font, tile, left, top)
        if number == 0:
            draw.rectangle((left - 4, top - 4, left + WIDTH + 3, top + HEIGHT + CAPTION + 3), outline=INK, width=2)
    with replacing(path) as temporary:
        sheet.save(temporary)


def _draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    tile: Tile,
    left: int,
    top: int,
) -> None:
    pixels = tile.picture.pixels
    if pixels is None:
        draw.rectangle((left, top, left + WIDTH - 1, top + HEIGHT - 1), fill=EMPTY)
        draw.text((left + 8, top + HEIGHT // 2), _cut(draw, tile.picture.why_none, font, WIDTH - 16), QUIET, font)
    else:
        # Ground of the same size for all, so that lines of the sheet stay straight.
        draw.rectangle((left, top, left + WIDTH - 1, top + HEIGHT - 1), fill=(246, 246, 246))
        high, wide = pixels.shape[:2]
        sheet.paste(Image.fromarray(pixels), (left + (WIDTH - wide) // 2, top + (HEIGHT - high) // 2))
    draw.text((left, top + HEIGHT + 4), _cut(draw, tile.title, font, WIDTH), INK, font)
    draw.text((left, top + HEIGHT + 21), _cut(draw, tile.text, font, WIDTH), QUIET, font)


def _cut(draw: ImageDraw.ImageDraw, text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    """As much of a text as fits, from its end: the ends of paths tell them apart."""
    text = " ".join(text.split())
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"…{text}", font) > width:
        text = text[1:]
    return f"…{text}"


def write_html(path: Path, query: Tile, found: Sequence[Tile], *, heading: str, notes: Sequence[str]) -> None:
    """Write the sheet as a page."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["data_url"] = _data_url
    page = environment.get_template("sheet.html").render(query=query, found=found, heading=heading, notes=notes)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _data_url(picture: Picture) -> str:
    held = io.BytesIO()
    pixels = picture.pixels if picture.pixels is not None else np.zeros((1, 1, 3), np.uint8)
    Image.fromarray(pixels).save(held, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"
