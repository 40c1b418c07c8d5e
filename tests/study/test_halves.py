"""After a death the next attempt takes half of the arms that are left, down to one."""

from fusionlab.study.ledger import Ledger
from fusionlab.study.plan import read


def test_each_death_halves_what_the_next_attempt_takes(make):
    names = [f"arm{number}" for number in range(8)]
    study = make({"k": ([], [dict.fromkeys(names, "publish")])})
    books = Ledger(study, read(study), session="s1")
    sizes = []
    for _ in range(4):
        attempt = books.claim("k")
        sizes.append(len(attempt.arms))
        attempt.end("died", "killed", dict.fromkeys(attempt.arms, "killed"))
    assert sizes == [8, 4, 2, 1]
