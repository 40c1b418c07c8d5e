import io
import os
import pty

import pytest
from screens import FakeTerminal, ask

from fusionlab.monitor.screen import Screen, can_redraw, cut, shorten, width


@pytest.fixture(autouse=True)
def sizes(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", ask)


def draw(screen, *lines):
    screen.draw(lambda columns, rows: lines)


def test_lines_are_replaced_in_place():
    terminal = FakeTerminal()
    terminal.write("a command\n")
    screen = Screen(terminal)
    draw(screen, "one", "two", "three")
    assert terminal.shown == ["a command", "one", "two", "three"]
    draw(screen, "1", "2")
    assert terminal.shown == ["a command", "1", "2"]
    draw(screen, "1", "2", "3", "4")
    assert terminal.shown == ["a command", "1", "2", "3", "4"]


def test_nothing_is_written_if_nothing_has_changed():
    terminal = FakeTerminal()
    screen = Screen(terminal)
    draw(screen, "one")
    before = terminal.getvalue()
    draw(screen, "one")
    assert terminal.getvalue() == before


def test_at_the_end_of_a_small_terminal_what_is_above_scrolls_away_and_nothing_is_drawn_twice():
    terminal = FakeTerminal(rows=4)
    terminal.write("above 1\nabove 2\nabove 3\n")
    screen = Screen(terminal)
    for number in range(5):
        draw(screen, *(f"{number} {line}" for line in "abcdef"))
    assert terminal.shown == ["4 a", "4 b", "4 c"], "one row is the cursor's"
    assert terminal.scrolled == ["above 1", "above 2", "above 3"]


@pytest.mark.parametrize("line", ["x" * 200, "漢字" * 100, "é" * 200], ids=["ascii", "wide", "accents"])
def test_a_long_line_is_cut_and_never_wraps(line):
    terminal = FakeTerminal(columns=80)
    screen = Screen(terminal)
    draw(screen, line, "next")
    draw(screen, line, "after")
    assert len(terminal.shown) == 2
    assert terminal.shown[0].endswith("...")
    assert terminal.shown[1] == "after"


def test_a_window_that_becomes_narrower_or_wider_keeps_no_old_lines():
    terminal = FakeTerminal(columns=80, rows=24)
    terminal.write("a command\n")
    screen = Screen(terminal)
    draw(screen, "x" * 70, "y" * 60, "z")
    terminal.resize(30, 24)
    assert len(terminal.lines) > 5, "the lines wrap now"
    draw(screen, "x" * 20, "y" * 20, "z")
    assert terminal.shown == ["a command", "x" * 20, "y" * 20, "z"]
    terminal.resize(100, 24)
    draw(screen, "x" * 70, "y" * 60, "z")
    assert terminal.shown == ["a command", "x" * 70, "y" * 60, "z"]


def test_other_lines_are_printed_above():
    terminal = FakeTerminal()
    screen = Screen(terminal)
    draw(screen, "one", "two")
    screen.clear()
    terminal.write("a message\n")
    draw(screen, "one", "two")
    assert terminal.shown == ["a message", "one", "two"]


def test_the_end_leaves_the_lines_and_removes_the_sign_of_ctrl_c():
    terminal = FakeTerminal()
    screen = Screen(terminal)
    draw(screen, "one", "two")
    terminal.write("^C")
    screen.close()
    terminal.write("interrupted\n")
    assert terminal.shown == ["one", "two", "interrupted"]
    screen.close()
    assert terminal.shown == ["one", "two", "interrupted"]


def test_a_terminal_that_cannot_write_a_character_gets_its_number_within_the_columns():
    class Ascii(FakeTerminal):
        encoding = "ascii"

    terminal = Ascii(columns=30)
    draw(Screen(terminal), "é" * 20)
    assert terminal.shown == ["\\xe9" * 6 + "\\x..."]


def test_a_terminal_that_is_gone_stops_nothing():
    class Gone(FakeTerminal):
        def write(self, text):
            raise OSError(5, "Input/output error")

    screen = Screen(Gone())
    draw(screen, "one")
    screen.clear()
    screen.close()


def test_a_real_terminal_is_asked_for_its_size_and_one_that_does_not_know_it_has_the_usual_one(monkeypatch):
    leader, follower = pty.openpty()
    with os.fdopen(leader, "rb"), os.fdopen(follower, "w") as stream:
        seen = []
        monkeypatch.undo()
        Screen(stream).draw(lambda columns, rows: seen.append((columns, rows)) or [])
        assert seen == [(79, 23)], "a new one has 0 × 0"
        monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((20, 1)))
        Screen(stream).draw(lambda columns, rows: seen.append((columns, rows)) or [])
        assert seen[1] == (19, 1), "a row at least"
        monkeypatch.setenv("TERM", "xterm")
        assert can_redraw(stream)
        monkeypatch.setenv("TERM", "dumb")
        assert not can_redraw(stream)
    monkeypatch.setenv("TERM", "xterm")
    assert not can_redraw(io.StringIO())


def test_width_cut_and_shorten():
    assert [width(text) for text in ("abc", "漢字", "e\u0301")] == [3, 4, 1]
    assert [cut("abcdef", most) for most in (6, 5, 3, 2, 0)] == ["abcdef", "ab...", "...", "..", ""]
    assert shorten("fusion=conv,layer=relu5,seed=12", 20) == "fusion=co...,seed=12"
    assert shorten("short", 20) == "short"
    assert len(shorten("x" * 200, 7)) == 7
