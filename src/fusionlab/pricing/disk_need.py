"""What the jobs that are left write below run.data and run.root, against the space that is free there."""

from __future__ import annotations

from dataclasses import dataclass

from fusionlab.preparation.disk_space import size
from fusionlab.pricing.arm_states import TO_RUN
from fusionlab.pricing.study_price import StudyPrice, running_checkpoints


@dataclass(frozen=True)
class Need:
    """Bytes that are still to be written to one disk, and those that are free; None: unknown."""

    below: str
    bytes: int
    free: int | None

    @property
    def lacking(self) -> int:
        return 0 if self.free is None else max(0, self.bytes - self.free)

    def line(self) -> str:
        """For a disk that is too small."""
        return f"needs {size(self.bytes)} below {self.below}, {size(self.free or 0)} are free"


def needs(price: StudyPrice) -> list[Need]:
    """One for each disk. Jobs whose size is unknown add nothing."""
    data = sum(price.archives.values())
    data += sum(job.store.bytes for job in price.of_kind("prepare") if job.store and job.state in TO_RUN)
    trained = [job for job in price.jobs if job.kind != "prepare" and job.disk is not None]
    root = sum(job.disk or 0 for job in trained if job.state in TO_RUN) + running_checkpoints(trained, price.workers)
    if price.one_disk:
        return [Need("run.data and run.root", data + root, price.root_free)]
    return [Need("run.data", data, price.data_free), Need("run.root", root, price.root_free)]


def too_small(price: StudyPrice) -> list[str]:
    """A line for each disk that is too small."""
    return [need.line() for need in needs(price) if need.lacking]
