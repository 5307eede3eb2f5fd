"""Tables and bars: readable in a terminal of 80 columns, whole in a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from app.progress import progress
from cli.errors import describe
from cli.output import bars, print_table, say, say_next

WIDE = (
    "from cli.output import print_table; "
    "print_table('what [red]was[/red] found in a table with a rather long title, longer than the table itself',"
    " ['what', 'row', 'count of things', 'tokens'],"
    " [['a_rather_long_name', 'words and words [REC] ' * 6, 1234567, 89], ['b', 'c', 2, 12345678]], text_columns=2)"
)


def in_terminal(code: str, width: int) -> list[str]:
    """Lines that a Python program prints in a terminal of this width, without the codes for colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env={**environment, "TERM": "xterm"})
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:
        pass  # the terminal is closed
    finally:
        os.close(ours)
    assert process.wait() == 0
    return re.sub(r"\x1b\[[\d;]*m", "", text.decode()).replace("\r\n", "\n").splitlines()


def test_in_a_narrow_terminal_texts_and_headings_break_but_no_number_and_no_name():
    title, *lines = in_terminal(WIDE, 60)

    assert title.startswith("what [red]was[/red] found")
    assert all(len(line) <= 60 for line in lines)
    text = "\n".join(lines)
    for whole in ("a_rather_long_name", "1,234,567", "12,345,678"):
        assert whole in text
    assert text.count("[REC]") == 6


def test_where_nothing_can_break_any_more_the_table_is_wider_than_the_terminal():
    lines = in_terminal(WIDE, 30)[1:]

    text = "\n".join(lines)
    for whole in ("a_rather_long_name", "1,234,567", "12,345,678"):
        assert whole in text
    assert all(len(line) <= 18 + 12 + 9 + 10 + 3 * 2 for line in lines)


def test_whoever_stops_reading_is_not_told_of_an_error(shop, plain_knowflow):
    command = f"{sys.executable} -m cli.main status --config {shop.config} | true"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env=plain_knowflow.environment,
        cwd=plain_knowflow.root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (141, "")


def test_in_a_pipe_a_row_is_one_line():
    done = subprocess.run([sys.executable, "-c", WIDE], capture_output=True, text=True, check=True)

    assert len(done.stdout.splitlines()) == 1 + 1 + 2
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
    assert done.stdout.splitlines()[2].split()[-2:] == ["1,234,567", "89"]


def test_numbers_stand_below_one_another_and_texts_to_the_left(capsys):
    print_table("title", ["name", "count"], [["a", 5], ["bcd", 1234]])

    assert capsys.readouterr().out == "title\nname  count\na         5\nbcd   1,234\n"


def test_without_a_terminal_a_step_is_a_line_when_it_is_done(capsys):
    with bars():
        for done in range(0, 1001, 250):
            progress()("asking kar_item", done, 1000)
        progress()("encoding", 7, 7)

    assert capsys.readouterr().err == "asking kar_item: 1,000 of 1,000, 0 s\nencoding: 7 of 7, 0 s\n"


def test_outside_of_bars_nobody_is_told(capsys):
    with bars():
        pass
    progress()("asking", 1, 1)

    assert capsys.readouterr().err == ""


def test_what_is_said_is_not_markup_and_not_broken(capsys):
    say("a [bold]title[/bold] " + "x" * 200)
    say_next("refresh", "my shop/knowflow.yaml", ["kar_item"])
    say_next("train", "knowflow.yaml")

    assert capsys.readouterr().err == (
        "a [bold]title[/bold] " + "x" * 200 + "\n"
        "next: knowflow refresh --task kar_item --config 'my shop/knowflow.yaml'\n"
        "next: knowflow train\n"
    )


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied\n  fix the path, the rights or the disk, and run this again", 2),
        (OSError("no file is named"), "something went wrong that should not: OSError: no file is named\n  its traceback: add --debug", 1),
        (KeyError("a"), "something went wrong that should not: KeyError: 'a'\n  its traceback: add --debug", 1),
        (AssertionError(), "something went wrong that should not: AssertionError\n  its traceback: add --debug", 1),
    ],
)  # fmt: skip
def test_an_error_of_no_known_kind_is_a_sentence_all_the_same(error, text, code):
    known = describe(error)

    assert (known.text, known.code) == (text, code)
