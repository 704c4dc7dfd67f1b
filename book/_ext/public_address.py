"""What a book with a public address has more: buttons, an address for each page, a site map.

All of it follows from one line of `_config.yml`, `repository: {url: https://github.com/…}`, or from
the environment variable `REPOSITORY_URL`, and none of it appears without. The theme's buttons ask
nobody before they are pressed.
"""

import os
from pathlib import Path
from urllib.parse import urljoin, urlparse
from xml.sax.saxutils import escape

NOT_OURS = "https://github.com/executablebooks/jupyter-book"  # what Jupyter Book takes for none
BUTTONS = {
    "use_repository_button": True,
    "use_edit_page_button": True,
    "use_issues_button": True,
    "repository_branch": "main",
    "launch_buttons": {
        "notebook_interface": "jupyterlab",
        "colab_url": "https://colab.research.google.com",
        "binderhub_url": "https://mybinder.org",
    },
}


def pages_address(repository):
    """Where GitHub Pages serves a repository: https://github.com/ME/it → https://me.github.io/it/."""
    owner, name = urlparse(repository).path.strip("/").split("/")
    return f"https://{owner.lower()}.github.io/{name.removesuffix('.git')}/"


def add_address(app, config):
    configured = config.html_theme_options.get("repository_url")
    repository = os.environ.get("REPOSITORY_URL") or configured
    if repository not in (None, "", NOT_OURS):
        config.html_theme_options |= BUTTONS | {"repository_url": repository}
        config.html_baseurl = config.html_baseurl or pages_address(repository)


def write_sitemap(app, exception):
    """List every page; a site map takes absolute addresses alone, so there is none without one."""
    if exception or not app.config.html_baseurl or app.builder.name != "html":
        return
    pages = sorted(app.builder.get_target_uri(page) for page in app.env.found_docs)
    rows = [f"<url><loc>{escape(urljoin(app.config.html_baseurl, p))}</loc></url>" for p in pages]
    schema = "http://www.sitemaps.org/schemas/sitemap/0.9"
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f'<urlset xmlns="{schema}">', *rows]
    text = "\n".join([*lines, "</urlset>", ""])
    Path(app.outdir, "sitemap.xml").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("config-inited", add_address)
    app.connect("build-finished", write_sitemap)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
