"""The words around a page, from one table a language: `labels/<language>.toml`.

A template finds them under `labels`; an extension calls `load`. So a second language is one more
file, chosen by Sphinx' setting `language`.
"""

import tomllib
from functools import lru_cache
from pathlib import Path

from sphinx.errors import ExtensionError

FOLDER = Path(__file__).parent / "labels"


@lru_cache(None)
def load(language):
    """Return the table of a language as a dict; a language without one raises `ExtensionError`."""
    path = FOLDER / f"{language}.toml"
    if not path.exists():
        raise ExtensionError(f"No labels for the language {language!r}: write {path.name}")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def hand_out(app, config):
    labels = load(config.language)
    config.html_context["labels"] = labels
    config.html_theme_options["search_bar_text"] = labels["search"]


def setup(app):
    app.connect("config-inited", hand_out)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
