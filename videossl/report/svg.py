"""matplotlib figures as inline SVG whose colours follow the page, light or dark."""

import io
import re

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# matplotlib wants colours, the page has names for them: each stand-in becomes a CSS variable.
MUTED, RULE, MODEL, BAD, REST = "#000002", "#000003", "#000004", "#000005", "#000006"
NUM_CATEGORIES = 10
CATEGORIES = tuple(f"#0000{number + 16:02x}" for number in range(NUM_CATEGORIES))
VARIABLES = {MUTED: "muted", RULE: "rule", MODEL: "model", BAD: "bad", REST: "rest"} | {
    colour: f"c{number}" for number, colour in enumerate(CATEGORIES)
}
FONT_SIZE = 9.0


# Inches round the axes, fixed: a layout engine takes as long as the drawing.
LEFT, RIGHT, BOTTOM, TOP = 0.62, 0.08, 0.42, 0.08


def _inside(width: float, height: float) -> tuple[float, float, float, float]:
    return LEFT / width, BOTTOM / height, 1 - (LEFT + RIGHT) / width, 1 - (BOTTOM + TOP) / height


def axes(*, width: float = 3.6, height: float = 2.1) -> Axes:
    """The one pair of axes of a new figure of `width` x `height` inches, with no frame but the axes themselves."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    with mpl.rc_context({"font.size": FONT_SIZE}):
        made = figure.add_axes(_inside(width, height))
    made.spines[["top", "right"]].set_visible(False)
    made.spines[["left", "bottom"]].set_color(RULE)
    made.tick_params(which="both", colors=MUTED, labelcolor=MUTED, length=3)
    made.grid(True, color=RULE, linewidth=0.5)
    made.set_axisbelow(True)
    figure.patch.set_visible(False)
    made.patch.set_visible(False)
    for label in (made.xaxis.label, made.yaxis.label):
        label.set_color(MUTED)
    return made


def inline(made: Axes, *, name: str, says: str) -> Markup:
    """The figure of these axes as an SVG element.

    Args:
        made: From `axes`.
        name: Letters and digits, no two alike on a page: names inside of the picture are made from it.
        says: What a reader who cannot see it should know.
    """
    figure = made.figure
    assert isinstance(figure, Figure)  # `axes` made it; for the type checker
    buffer = io.StringIO()
    # fonttype none: text stays text, so it is small, can be searched, and takes the font of the page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the same in every figure, and nothing refers to them
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    head, _, body = text.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    label = escape(says)
    return Markup(
        f'<svg {box.group(0) if box else ""} role="img" aria-label="{label}" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{body}'
    )
