"""Draw what others show of the book: `card.png` beside a shared link, `touch-icon.png` on a phone.

Both come from `book/_static/logo.svg` and the book's own words. Run this anew when one of these
changes; the pictures are committed.
"""

import re
import sys
import tomllib
from html import escape
from pathlib import Path

import yaml
from chromium import chromium

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "book" / "_static"
CARD = """
<style>
  body { align-items: center; background: #123f50; color: #fff; display: flex; gap: 64px;
    font-family: "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
    height: 630px; margin: 0; padding: 0 80px; box-sizing: border-box; width: 1200px; }
  svg { flex: 0 0 340px; height: 340px; }
  h1 { font-size: 68px; line-height: 1.12; margin: 0 0 28px; text-wrap: balance; }
  p { color: #d5eef3; font-size: 32px; line-height: 1.4; margin: 0; text-wrap: balance; }
</style>
"""
ICON = "<style>body { margin: 0; } svg { display: block; width: 180px; }</style>"


def main():
    logo = (STATIC / "logo.svg").read_text(encoding="utf-8")
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    labels = tomllib.loads((ROOT / "book/_ext/labels/en.toml").read_text(encoding="utf-8"))
    words = f"<div><h1>{escape(title)}</h1><p>{escape(labels['description'])}</p></div>"
    square = re.sub(r' rx="\d+"', "", logo)  # a phone rounds the corners itself
    pictures = {
        "card.png": (1200, 630, CARD + logo + words),
        "touch-icon.png": (180, 180, ICON + square),
    }
    with chromium() as browser:
        for name, (width, height, html) in pictures.items():
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_content(html)
            page.screenshot(path=STATIC / name)


if __name__ == "__main__":
    sys.exit(main())
