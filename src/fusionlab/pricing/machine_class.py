"""The class of a machine: what a job took on one machine of a class, it takes on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fusionlab.config.run_config import RunConfig
from fusionlab.records.environment import machine
from fusionlab.study.devices import device_name


@dataclass(frozen=True)
class Machine:
    """CPU or GPU by name, the cores and instructions of the CPU, and torch's minor version.

    `capability`: None in older records, which are taken as equal.
    """

    device: str
    cpu: str
    cores: int
    capability: str | None
    torch: str

    @classmethod
    def here(cls, run: RunConfig) -> Machine:
        """With the device that `run` asks for; one that is not here, as on a login node, is like no recorded one.

        CUDA is not asked for its name, since the sweep's process forks.
        """
        device = "cpu" if not run.on_gpu else next(map(device_name, run.devices), None) or run.device
        return cls._of(device, machine(), version("torch"))

    @classmethod
    def of_record(cls, circumstances: Mapping[str, Any]) -> Machine | None:
        """The machine of a record; None if it does not name one."""
        own, packages, device = (circumstances.get(name) for name in ("machine", "packages", "device"))
        if not isinstance(own, Mapping) or not isinstance(packages, Mapping) or not isinstance(device, str):
            return None
        return cls._of(device, own, packages.get("torch"))

    @classmethod
    def _of(cls, device: str, own: Mapping[str, Any], torch: Any) -> Machine:
        known = own.get("capability")
        limits = "".join(f" {name}={most}" for name, most in sorted((own.get("limits") or {}).items()))
        capability = f"{known}{limits}" if known else None
        cores = own.get("cores")
        minor = ".".join(str(torch).split(".")[:2])
        return cls(device, str(own.get("cpu")), cores if isinstance(cores, int) else 0, capability, minor)

    @property
    def name(self) -> str:
        """Equal for machines of one class."""
        own = self.device if self.device != "cpu" else f"{self.cpu}, {self.cores} cores, {self.capability}"
        return f"{own}, torch {self.torch}"

    def is_like(self, other: Machine) -> bool:
        """Whether times of the other machine hold here."""
        if (self.device, self.torch) != (other.device, other.torch):
            return False
        if self.device != "cpu":  # the GPU computes, whatever CPU is beside it
            return True
        known = None in (self.capability, other.capability) or self.capability == other.capability
        return known and (self.cpu, self.cores) == (other.cpu, other.cores)

    def __str__(self) -> str:
        return f"{self.cpu}, {self.cores} cores" if self.device == "cpu" else self.device
