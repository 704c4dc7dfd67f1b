"""Lighter pages: pictures that wait until they are near, and say nothing to six decimals."""

import re
from pathlib import Path

from sphinx.util.images import get_image_size

IMAGE = re.compile(r'<img [^>]*?src="[^"]*_images/([^"]+)"')
DRAWN = re.compile(r'(?<=\s(?:d|x|y)=")[^"]+')
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def shorten(svg):
    """Round the coordinates of a drawing to a hundredth of a point, which no screen can show."""

    def rounded(number):
        return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")

    return DRAWN.sub(lambda drawn: LONG_NUMBER.sub(rounded, drawn[0]), svg)


def shorten_images(app, exception):
    if exception is None:
        for path in Path(app.outdir, app.builder.imagedir).glob("*.svg"):
            svg = path.read_text(encoding="utf-8")
            short = shorten(svg)
            if short != svg:
                path.write_text(short, encoding="utf-8")


def drop_source_maps(app, exception):
    """The theme's source maps weigh more than the book, and serve only who mends the theme."""
    if exception is None:
        for path in Path(app.outdir, "_static").rglob("*.map"):
            path.unlink()


def place_images(app, page, template, context, doctree):
    """Give each picture its size, so that no text jumps; all but the first load when near."""
    if "body" not in context or app.builder.name != "html":  # a printed book needs all at once
        return
    sources = {name: path for path, name in app.builder.images.items()}
    first = True

    def place(match):
        nonlocal first
        wait, first = "" if first else ' loading="lazy"', False
        width, height = get_image_size(Path(app.srcdir, sources[match[1]]))
        return f'{match[0]} width="{width}" height="{height}"{wait}'

    context["body"] = IMAGE.sub(place, context["body"])


def drop_unused(app, page, template, context, doctree):
    """Only a page with cards or tabs loads the style and script that draw them."""
    if 'class="sd-' not in context.get("body", ""):
        for kind in ("css_files", "script_files"):
            context[kind] = [f for f in context[kind] if "design" not in str(f.filename)]


def setup(app):
    app.connect("html-page-context", place_images)
    app.connect("html-page-context", drop_unused)
    app.connect("build-finished", shorten_images)
    app.connect("build-finished", drop_source_maps)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
