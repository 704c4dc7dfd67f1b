"""What a terminal shows in the end: a progress bar that rewrote its line is one line."""

import re

TOKENS = re.compile(
    r"\r?\n|\r|\x08|\x1b\[(?P<count>[0-9;?]*)(?P<what>[@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?|[^\n\r\x08\x1b]+",
    re.DOTALL,
)


def last_state(text):
    """Text in which what was overwritten or erased is gone, and colours are.

    Parameters
    ----------
    text : str
        What a program wrote, with carriage returns and the escape sequences that move a cursor up
        or erase a line, as progress bars use them.
    """
    lines, row, column = [""], 0, 0
    for token in TOKENS.finditer(text):
        said = token[0]
        if said in ("\n", "\r\n"):
            row, column = row + 1, 0
            lines += [""] if row == len(lines) else []
        elif said == "\r":
            column = 0
        elif said == "\x08":
            column = max(0, column - 1)
        elif token["what"]:
            row = _moved(lines, row, column, token["what"], token["count"])
        elif not said.startswith("\x1b"):
            line = lines[row].ljust(column)
            lines[row] = line[:column] + said + line[column + len(said) :]
            column += len(said)
    return "\n".join(lines)


def _moved(lines, row, column, what, count):
    """The new row after an escape sequence; erases what it says."""
    number = int(count) if count.isdecimal() and len(count) < 6 else 1
    if what in "AF":
        return max(0, row - number)
    if what in "BE":
        return min(len(lines) - 1, row + number)
    if what in "JK":
        lines[row] = lines[row][:column] if number != 2 else ""
        if what == "J":
            del lines[row + 1 :]
    return row
