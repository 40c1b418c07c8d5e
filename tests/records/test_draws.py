import pytest

from fusionlab.records.draws import key

# Part of every result that was ever recorded: these never change.
GOLDEN = {
    ("init", 0, "conv1.weight"): 3032440500570764066,
    ("sample", 0, 3, 17): 7016783891802000126,
    ("dropout", 1, 200): 6773859275086596495,
    ("order", 0, 0): 9015108255360037751,
    (): 2858069222894195974,
    ("é", None, True, 0.5): 5106776372456421619,
}


@pytest.mark.parametrize(("parts", "value"), GOLDEN.items())
def test_golden_keys(parts, value):
    assert key(*parts) == value


def test_a_key_is_a_seed_of_63_bits():
    keys = [key("sample", 0, epoch, index) for epoch in range(10) for index in range(200)]
    assert len(set(keys)) == len(keys)
    assert all(0 <= one < 2**63 for one in keys)
    high = sum(one >> 62 for one in keys)
    assert 900 < high < 1100  # the top bit is used, and fair


def test_parts_do_not_run_into_each_other_and_types_are_kept_apart():
    several = [key("a", "b"), key("ab"), key("a,b"), key('a","b'), key("b", "a")]
    several += [key(1), key(1.0), key(True), key("1"), key(None), key("null")]
    assert len(set(several)) == len(several)


def test_only_plain_scalars():
    with pytest.raises(AssertionError):
        key([1])
