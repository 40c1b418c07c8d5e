import pickle
import sys

import pytest

from fusionlab.errors import UserError, nearest, one_line, show, unknown, visible


def test_the_message_says_what_got_allowed_and_what_to_type():
    error = UserError("unknown fusion", got="sun", allowed=["sum", "conv"], hint="fusion=sum")
    assert str(error) == "unknown fusion\n  got:      sun\n  allowed:  sum, conv\n  try:      fusion=sum"


def test_lines_that_were_not_given_are_left_out():
    assert str(UserError("the disk is full")) == "the disk is full"
    assert str(UserError("x", got=0)) == "x\n  got:      0"
    assert str(UserError("x", allowed=[])) == "x\n  allowed:  "


def test_it_survives_the_way_between_processes():
    error = UserError("a", got="b", allowed=("c", "d"), hint="e")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert type(again) is UserError
    assert again.allowed == ("c", "d")


def test_the_nearest_name_is_found_whatever_its_case_and_separators():
    layers = ["relu4", "relu5", "fc6"]
    assert nearest("ReLU_5", layers) == "relu5"
    assert nearest("relu-4", layers) == "relu4"
    assert nearest("concat", ["sum", "cat", "conv"]) == "cat"
    assert nearest("bilinaer", ["bilinear", "product"]) == "bilinear"
    assert nearest("xyzzy", layers) is None
    assert nearest("x", []) is None


def test_an_unknown_name_is_answered_with_what_to_type():
    error = unknown("fusion", "cnov", ["sum", "conv"], form="fusion={}")
    assert str(error).splitlines() == [
        "unknown fusion",
        "  got:      cnov",
        "  allowed:  sum, conv",
        "  try:      did you mean fusion=conv ?",
    ]
    assert "try:" not in str(unknown("fusion", "qqqqqq", ["sum"]))


UNSAFE_SIGNS = [
    *map(chr, [*range(9), *range(11, 32), *range(127, 160)]), "\u202a", "\u202e", "\u2066", "\u2069", "\u200e",
    "\u200f", "\u2028", "\u2029", "\ud800", "\udfff", "\ufffe", "\uffff", "\U0010ffff", "\ufeff", "\u200b",
    "\U000e0041",
]  # fmt: skip


@pytest.mark.parametrize("sign", UNSAFE_SIGNS, ids=ascii)
def test_a_sign_that_is_unsafe_to_show_is_written_out(sign):
    shown = visible(f"a{sign}b")
    assert shown == f"a{ascii(sign)[1:-1]}b"
    assert visible(shown) == shown
    assert shown.isascii()


@pytest.mark.parametrize(
    "text", ["naïve", "卷积\u3000层", "שלום", "می\u200cخواهم", "👩\u200d🔬 ✔\ufe0f", "e\u0301", "a\tb\nc", "a\\x1b"]
)
def test_ordinary_text_stays(text):
    assert visible(text) == text


def test_one_line_is_one():
    assert one_line(" a\r\n\tb \n c\u2028d\x1b ") == r"a b c\u2028d\x1b"
    assert one_line(None) == "None"


def test_a_name_in_an_error_neither_steers_a_terminal_nor_begins_a_line_of_ours():
    error = UserError("a\x1b[2Jb", got="x\n  try:      evil\n            y", allowed=["\u202e"], hint="c\x9b")
    assert str(error).splitlines() == [
        r"a\x1b[2Jb",
        "  got:      x",
        "      try:      evil",
        "            y",
        r"  allowed:  \u202e",
        r"  try:      c\x9b",
    ]
    assert error.got == "x\n  try:      evil\n            y"  # as it was, for programs


def test_what_is_shown_is_visible(capsys):
    show("a\x1b\nb")
    show(UserError("c\ud800"), file=sys.stderr)
    assert capsys.readouterr() == ("a\\x1b\nb\n", "c\\ud800\n")
