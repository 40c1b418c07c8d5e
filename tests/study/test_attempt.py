"""Publishing where two attempts at a job live at once; all else of attempts is tested with the ledger."""

from fusionlab.records.record import new_record, read_record, write_record
from fusionlab.study import attempt as attempts
from fusionlab.study.attempt import Attempt


def record(folder, status="done"):
    reason = "diverged" if status == "failed" else None
    made = new_record(name="z", kind="fused", axes={}, signature="z", config={}, status=status, reason=reason)
    write_record(folder / "z", made)


def test_of_two_attempts_that_replace_a_failed_record_none_takes_the_others_result(tmp_path, monkeypatch):
    """The first finds a failed record, the second publishes meanwhile; then the first one dies."""
    job = tmp_path / "jobs" / "k"
    first, second = Attempt(job, 1), Attempt(job, 2)
    (job / "claims").mkdir(parents=True)
    record(first.published, "failed")
    for one in (first, second):
        one.open()
        record(one.result)
    real, looks = attempts.failure_reason, []

    def look(place):
        assert place.parent != first.folder / "replaced", "it dies with the result of the second in its hands"
        reason = real(place)
        if not looks:
            looks.append(place)
            assert second.publish("z").won
        return reason

    monkeypatch.setattr(attempts, "failure_reason", look)
    assert not first.publish("z").won
    assert not (first.folder / "replaced").exists()
    assert read_record(second.published / "z")["status"] == "done"
    assert read_record(second.folder / "replaced" / "z")["status"] == "failed"
