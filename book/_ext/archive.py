"""The whole site as one zip beside its folder, to unpack and read without a server."""

import zipfile
from pathlib import Path

NAME = "deep-regression-with-pytorch"
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def pack(folder, target):
    """Write every file under `folder` to the zip `target`, whole or not at all.

    Order and times are fixed, so the same site makes the same bytes.
    """
    part = target.with_suffix(".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.name.startswith("."):
                    name = f"{NAME}/{path.relative_to(folder).as_posix()}"
                    entry = zipfile.ZipInfo(name, LONG_AGO)
                    entry.external_attr = 0o644 << 16  # whatever the rights of the file here
                    archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def pack_site(app, exception):
    if exception is None and app.builder.name == "html":
        site = Path(app.outdir)
        pack(site, site.with_name(f"{NAME}.zip"))


def setup(app):
    app.connect("build-finished", pack_site, priority=999)  # after all that still writes
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
