"""Tables as text: read in whatever encoding they come, written so that no cell is a formula."""

import csv
import io
import re
from dataclasses import dataclass

HARMLESS = re.compile(r"[+-]?[\d.,\s%]*|[-–\s]*")  # numbers, and the dashes that mean "nothing"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
DELIMITERS = ",;\t"


@dataclass
class Table:
    """The rows of a CSV file, the header among them, each with its line, and how it was written."""

    rows: list
    lines: list
    encoding: str
    delimiter: str


def harmless(value):
    """Text that a spreadsheet does not take for a formula; numbers stay numbers."""
    if not isinstance(value, str) or HARMLESS.fullmatch(value):
        return value
    return f"'{value}" if value.startswith(FORMULA) else value


def read(path):
    """A CSV file, whatever wrote it.

    Raises
    ------
    ValueError
        With the file's name, if there is nothing in it.
    """
    text, encoding = decoded(path.read_bytes())
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, lines, begin = [], [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                lines.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, line {begin}: it is no CSV ({error}); export it anew") from None
    if not rows:
        raise ValueError(f"{path} is empty; export it anew")
    return Table(rows, lines, encoding, delimiter)


def decoded(body):
    """Text of bytes, and the name of the encoding with which they can be written again."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace"), "utf-16"
    for encoding in ("utf-8-sig" if body.startswith(b"\xef\xbb\xbf") else "utf-8", "cp1252"):
        try:
            return body.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return body.decode("latin-1"), "latin-1"  # in which each byte is a letter


def _delimiter(text):
    """What separates the header's cells; a name in quotes may hold the others."""
    header = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    return max(DELIMITERS, key=header.count)


def written(rows, encoding="utf-8", delimiter=","):
    """The bytes of a CSV file; a letter that the encoding lacks makes it UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    try:
        return text.getvalue().encode(encoding)
    except UnicodeEncodeError:
        return text.getvalue().encode("utf-8-sig")
