"""How conv fusion starts: identities that weigh the streams, or noise of a stated variance."""

from math import sqrt

import pytest
import torch
from fusion_oracles import maps

from fusionlab.backbones.initialise import initialise
from fusionlab.errors import UserError
from fusionlab.fusion import filters, sum
from fusionlab.fusion.conv import Conv

# The authors' names and weights of appearance and motion.
IDENTITIES = {
    "identity": (1, 1), "2sumAB": (0.25, 0.75), "netA": (1, 0), "netB": (0, 1), "100sumAB": (0.01, 1),
}  # fmt: skip
# Deviations of 1×1 filters from 64 + 32 channels to 64.
DEVIATIONS = {
    "gaussian": 0.01,
    "xavier": sqrt(2 / (96 + 64)),
    "xavierimproved": sqrt(2 / 64),
    "he": sqrt(2 / 96),
}


def drawn(channels_a: int, channels_b: int, init: str, seed: int = 0) -> Conv:
    fusion = Conv(channels_a, channels_b, init=init)
    initialise(fusion, seed, prefix="fusion.")
    return fusion


def test_these_are_all() -> None:
    assert set(filters.INITS) == set(IDENTITIES) | set(DEVIATIONS)


@pytest.mark.parametrize("init", IDENTITIES)
def test_identities_weigh_the_streams(init: str) -> None:
    a, b = (x.float() for x in maps())
    weight_a, weight_b = IDENTITIES[init]
    fusion = drawn(3, 3, init)
    torch.testing.assert_close(fusion(a, b), weight_a * a + weight_b * b)
    off = fusion.filters.weight.flatten(1)[~torch.eye(3, dtype=torch.bool).repeat(1, 2)]
    assert not off.any() and not fusion.filters.bias.any()


def test_the_sum_is_met_bit_by_bit() -> None:
    a, b = (x.float() for x in maps())
    assert torch.equal(drawn(3, 3, "identity")(a, b), sum.fuse(a, b))


def test_the_authors_name_for_it_is_answered_with_ours() -> None:
    with pytest.raises(UserError, match=r"fusion\.init=identity"):
        Conv(3, 3, init="sumAB")


@pytest.mark.parametrize("init", DEVIATIONS)
def test_noise_has_its_deviation_and_takes_unlike_channels(init: str) -> None:
    fusion = drawn(64, 32, init)
    assert fusion.filters.weight.shape == (64, 96, 1, 1) and not fusion.filters.bias.any()
    # 6144 draws: their deviation is known to 0.9 %, their mean to 1.3 % of it
    assert fusion.filters.weight.std().item() == pytest.approx(DEVIATIONS[init], rel=0.03)
    assert abs(fusion.filters.weight.mean().item()) < 0.05 * DEVIATIONS[init]
    assert not torch.equal(fusion.filters.weight, drawn(64, 32, init, seed=1).filters.weight)


def test_noise_counts_the_places_of_a_filter() -> None:
    """Fan in and fan out are channels times places."""
    for init, variance in (("xavier", 2 / (9 * 64 + 9 * 32)), ("xavierimproved", 2 / (9 * 32)), ("he", 2 / (9 * 64))):
        weight = torch.empty(32, 64, 3, 3)
        filters.INITS[init](weight, torch.Generator().manual_seed(0))
        assert weight.var().item() == pytest.approx(variance, rel=0.05), init


@pytest.mark.parametrize(
    "typed, meant", [("identiti", "identity"), ("2SUMab", "2sumAB"), ("Xavier_improved", "xavierimproved")]
)
def test_a_name_that_is_nearly_right(typed: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"fusion\.init={meant}"):
        Conv(4, 4, init=typed)


def test_identities_need_equal_channels() -> None:
    with pytest.raises(UserError, match="4 channels of appearance, 3 of motion") as refused:
        Conv(4, 3, init="2sumAB")
    assert "fusion.init=gaussian" in str(refused.value)
