"""One progress bar for every place: rich in a terminal, tqdm in a notebook, lines in a log.

A bar that is lively in a terminal can wreck a printed page, and the reverse. `track` looks where
it runs and picks what reads well there; the last line of a notebook's bar is the same on every
run, so that a committed notebook does not change when nothing has changed.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeAlias, TypeVar, get_args

from regression_lib.words import can_show, printable

T = TypeVar("T")
Kind: TypeAlias = Literal["auto", "rich", "tqdm", "plain", "none"]
Progress: TypeAlias = Kind | bool | None  # what the option `progress` may be
KINDS: tuple[Kind, ...] = get_args(Kind)


def track(
    iterable: Iterable[T],
    description: str = "",
    *,
    total: int | None = None,
    kind: Progress = "auto",
    status: Callable[[], object] | None = None,
) -> Iterator[T]:
    """Go through an iterable and show how far it is.

    Parameters
    ----------
    iterable : iterable
        What to go through.
    description : str
        What is going on, shown before the bar.
    total : int, optional
        How many items there are, where ``len(iterable)`` does not tell.
    kind : {"auto", "rich", "tqdm", "plain", "none"} or bool
        The look. ``"auto"`` (or True) takes tqdm in a notebook, rich in a terminal, plain lines
        elsewhere; ``"plain"`` prints at most ten lines or so; ``"none"`` (or False) nothing.
    status : callable, optional
        Called without arguments after each item; gives a short text to show beside the bar,
        e.g. the latest validation loss.

    Returns
    -------
    iterator
        Over the same items. Leaving the loop early closes the bar.

    Raises
    ------
    ValueError
        If the kind is unknown.
    """
    kind = known_kind(kind)
    if sys.stdout is None or getattr(
        sys.stdout, "closed", False
    ):  # a program without a window to print to
        kind = "none"
    elif kind == "auto":
        kind = _best_kind()
    if total is None:
        try:
            total = len(iterable)  # type: ignore[arg-type]  # what has no length says so
        except TypeError:  # a generator, or a DataLoader that streams
            total = None
    shows = {"rich": _rich, "tqdm": _tqdm, "plain": _plain, "none": _none}

    def words():
        return printable(str((status() if status else "") or ""))

    return shows[kind](iterable, printable(description), total, words)


def known_kind(kind: Progress) -> Kind:
    """The kind by its name, with True for ``"auto"`` and False or None for ``"none"``.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind is True:
        kind = "auto"
    elif kind is False or kind is None:
        kind = "none"
    if kind not in KINDS:
        raise ValueError(
            f"There is no progress bar of the kind {kind!r}. "
            f"Choose from: {', '.join(KINDS)}; or True for auto, False for none."
        )
    return kind


def _best_kind() -> Kind:
    """See where we run: only a notebook's IPython has a kernel, only a terminal is a tty."""
    ipython = sys.modules.get("IPython")  # where it is not loaded, this is no notebook
    shell = ipython.get_ipython() if ipython else None
    if hasattr(shell, "kernel"):
        return "tqdm"
    return "rich" if getattr(sys.stdout, "isatty", bool)() else "plain"


def _none(iterable, description, total, status):
    yield from iterable


def _plain(iterable, description, total, status):
    """Print a line at each tenth of the way; without a total, at 1, 10, 100, … and at the end."""
    done = printed = 0
    for item in iterable:
        yield item
        done += 1
        if total:
            due = 10 * done // total > 10 * (done - 1) // total
        else:
            due = str(done).strip("0") == "1"
        if due:
            printed = _print_line(description, done, total, status)
    if printed < done:
        _print_line(description, done, total, status)


def _print_line(description, done, total, status):
    count = f"{done}/{total}" if total else f"{done}"
    print(*filter(None, [description, count, status()]), flush=True)
    return done


def _tqdm(iterable, description, total, status):
    from tqdm import tqdm

    bar = tqdm(
        total=total,
        desc=description,
        file=sys.stdout,
        ascii=" ━" if can_show("━") else " #",
        # No times and no speeds: the last line must be the same on every run.
        bar_format="{desc} {bar:30} {n_fmt}/{total_fmt}{postfix}",
    )
    try:
        for item in iterable:
            yield item
            bar.set_postfix_str(status(), refresh=False)
            bar.update()
    finally:
        # The status goes, and so do the blanks that would have covered its letters.
        bar.set_postfix_str("", refresh=False)
        bar.clear()
        bar.close()


def _rich(iterable, description, total, status):
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = [
        TextColumn("{task.description}", markup=False),  # "[1] Train" is text, no markup
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}", markup=False),
    ]
    with Progress(*columns) as progress:
        task = progress.add_task(description, total=total, status="")
        for item in iterable:
            yield item
            progress.update(task, advance=1, status=status())
