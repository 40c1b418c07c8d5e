import pickle

from fusionlab.errors import UserError, nearest, unknown


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
