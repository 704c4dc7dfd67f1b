"""Cut the theme's icon fonts down to the icons that the book shows: 274 KB become 3.

The cut fonts lie where they replace the theme's own. Run this anew, with `brotli` installed
beside the pinned environment, when a test says that a page shows another icon. The font's licence
reserves its name for the whole font, so the cut one is called otherwise.
"""

import io
import re
import sys
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset
from fontTools.ttLib import TTFont

THEME = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme" / "static"
FONTS = Path("vendor/fontawesome/webfonts")
TARGET = Path(__file__).resolve().parent.parent / "book" / "_static" / FONTS
ICONS = {
    "fa-solid-900.woff2": (
        "angle-down angle-left angle-right arrow-up bars circle-half-stroke code download "
        "file file-pdf lightbulb list magnifying-glass moon pencil-alt rocket sun xmark"
    ),
    "fa-brands-400.woff2": "github",
}
NAMES = {1: "Book Icons", 3: "Book Icons", 4: "Book Icons", 6: "BookIcons", 16: "Book Icons"}


def code_point(icon):
    """The character that draws an icon, as the theme's style sheet gives it."""
    css = (THEME / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8")
    rule = re.search(rf'\.fa-{icon}:before[^{{}}]*\{{content:"\\([0-9a-f]+)"', css)
    return int(rule[1], 16)


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    for file, icons in ICONS.items():
        font = TTFont(io.BytesIO((THEME / FONTS / file).read_bytes()))
        options = subset.Options(layout_features=[], name_IDs=[0, 1, 2, 3, 4, 5, 6, 11, 16])
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=[code_point(icon) for icon in icons.split()])
        cutter.subset(font)
        for record in font["name"].names:
            record.string = NAMES.get(record.nameID, str(record))
        font.save(TARGET / file)


if __name__ == "__main__":
    sys.exit(main())
