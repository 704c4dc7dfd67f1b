"""Every look shows its items, ends tidily when left early, and ends the same on every run."""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest

from regression_lib.progress import KINDS, track


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def open_terminal(monkeypatch):
    """Let the program see a terminal; inside the test, as pytest sets stdout anew before it."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    return screen


def last_line(text):
    """What stays on the page: a carriage return begins its line anew."""
    return text.rstrip("\n").split("\r")[-1]


@pytest.mark.parametrize("kind", [*KINDS, True, False, None])
def test_every_item_comes_once_in_order(kind, capsys):
    assert list(track(range(7), "Count", kind=kind)) == list(range(7))
    assert list(track((n for n in "abc"), kind=kind)) == list("abc")
    assert list(track([], kind=kind)) == []
    assert (capsys.readouterr().out == "") == (kind in ("none", False, None))


def test_an_unknown_kind_is_refused_at_once():
    for kind in ("rihc", 3, ["rich"]):
        with pytest.raises(ValueError, match="Choose from: auto, rich, tqdm, plain, none"):
            track([1], kind=kind)


# ------------------------------------------------------------------------------ plain


def test_plain_prints_a_line_at_each_tenth(capsys):
    for _ in track(range(30), "Train", kind="plain", status=lambda: "loss 0.21"):
        pass
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"Train {n}/30 loss 0.21" for n in range(3, 31, 3)]


@pytest.mark.parametrize("n", [1, 3, 10, 11, 99, 1234])
def test_plain_prints_at_most_ten_lines_and_the_last(n, capsys):
    list(track(range(n), kind="plain"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == min(n, 10)
    assert lines[-1] == f"{n}/{n}"


def test_plain_without_a_total_prints_ever_more_rarely(capsys):
    list(track(iter(range(1500)), "Rows", kind="plain"))
    lines = ["Rows 1", "Rows 10", "Rows 100", "Rows 1000", "Rows 1500"]
    assert capsys.readouterr().out.splitlines() == lines
    list(track(iter(range(20)), total=20, kind="plain"))
    assert capsys.readouterr().out.splitlines()[-1] == "20/20"


# ------------------------------------------------------------------------------ tqdm


def run_tqdm(pause=0.0, stop=None, texts=("",)):
    count = iter(range(1000))
    items = track(range(5), "Train", kind="tqdm", status=lambda: texts[next(count) % len(texts)])
    for n in items:
        time.sleep(pause)
        if n == stop:
            break


def test_two_tqdm_runs_end_on_the_identical_line(capsys):
    run_tqdm()
    first = last_line(capsys.readouterr().out)
    run_tqdm(pause=0.11, texts=("validation 0.2134567", "x"))  # slow enough to redraw each time
    slow = capsys.readouterr().out
    assert "validation 0.2134567" in slow
    assert last_line(slow) == first == "Train " + "━" * 30 + " 5/5"
    assert slow.endswith("\n")


def test_tqdm_left_early_closes_its_line(capsys):
    run_tqdm(stop=2, texts=("validation 0.21",))
    out = capsys.readouterr().out
    assert re.fullmatch(r"Train ━+ +2/5", last_line(out))
    assert out.endswith("\n")


def test_tqdm_writes_ascii_where_nothing_else_can_be_shown(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    list(track(range(3), "Train", kind="tqdm"))
    narrow.flush()
    assert last_line(narrow.buffer.getvalue().decode()) == "Train " + "#" * 30 + " 3/3"


# ------------------------------------------------------------------------------ rich


def test_rich_shows_description_count_and_status(monkeypatch):
    terminal = open_terminal(monkeypatch)
    list(track(range(4), "[1] Train", kind="rich", status=lambda: "[loss] 0.21"))
    text = terminal.getvalue()
    for part in ("[1] Train", "4/4", "[loss] 0.21"):
        assert part in text


def leave_early(kind, error):
    for n in track(range(5), "Train", kind=kind):
        if n == 2:
            raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["rich", "tqdm", "plain", "none"])
def test_an_error_in_the_loop_closes_the_bar_and_goes_on(kind, error, monkeypatch):
    terminal = open_terminal(monkeypatch)
    with pytest.raises(error):
        leave_early(kind, error)
    text = terminal.getvalue()
    assert text.endswith("\n") == (kind != "none")
    if kind == "rich":
        assert text.count("\x1b[?25h") == 1  # the cursor is shown again
        list(track(range(2), kind="rich"))  # and a second display may start


# ------------------------------------------------------------------------------ auto


def test_auto_is_rich_in_a_terminal(monkeypatch):
    terminal = open_terminal(monkeypatch)
    list(track(range(3), "Train"))
    assert "\x1b[" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_auto_is_plain_in_a_log(capsys):
    list(track(range(3), "Train"))
    assert capsys.readouterr().out == "Train 1/3\nTrain 2/3\nTrain 3/3\n"


def test_auto_is_tqdm_in_a_notebook(monkeypatch, capsys):
    notebook = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    list(track(range(3), "Train"))
    assert last_line(capsys.readouterr().out) == "Train " + "━" * 30 + " 3/3"


def test_auto_is_rich_in_a_terminal_ipython(monkeypatch):
    terminal = open_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))
    list(track(range(3), "Train"))
    assert "\x1b[" in terminal.getvalue()
