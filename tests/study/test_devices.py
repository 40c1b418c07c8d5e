"""The GPUs of machines that a fake nvidia-smi describes; what torch reads from the same variable is the oracle."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu_fakes import NAME, fake_machine, gpu, mig

from fusionlab.study.devices import VARIABLE, device_memory, device_name, visible_devices

MIB = 2**20
DIVIDED = {1: [("3g.40gb", 40448), ("1g.10gb", 9728)], 2: [("7g.80gb", 80256)]}
SAID = (
    "", "0", "2,5", " 3 , 1", "0,-1,2", "-1", "1,x,2", "1x,2", "0,1,0", "+2", ",1", "1,,2", "0 1",
    f"{gpu(1)},{gpu(0)}", f"{gpu(1)},0", f"{gpu(1)},{gpu(1)}", f"{mig(0)},{mig(2)}", f"{mig(0)},{gpu(0)}",
    "GPU-0000", "MIG-GPU-0000/1/0", f"0,{gpu(1)}", "GPU-1, GPU-2", "none", "NoDevFiles",
)  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is first on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without nvidia-smi."""
    monkeypatch.setenv("PATH", str(tmp_path))


def by_torch(monkeypatch: pytest.MonkeyPatch, said: str) -> tuple[str, ...]:
    monkeypatch.setenv(VARIABLE, said)
    return tuple(map(str, torch.cuda._parse_visible_devices()))  # type: ignore[no-untyped-call, unused-ignore]


@pytest.mark.parametrize("said", SAID)
@pytest.mark.usefixtures("bare")
def test_the_variable_is_read_as_torch_reads_it(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    assert visible_devices({VARIABLE: said}) == by_torch(monkeypatch, said)


@pytest.mark.usefixtures("bare")
def test_any_text_is_read_as_torch_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    parts = ["0", "1", "2", "13", "-1", "+1", ",", ",", " ", "x", "GPU-", "MIG-", "a"]
    found = []
    for _ in range(2000):
        said = "".join(draw.choices(parts, k=draw.randint(0, 7)))
        found.append(visible_devices({VARIABLE: said}))
        assert found[-1] == by_torch(monkeypatch, said), repr(said)
    assert len(set(found)) > 50


def test_all_gpus_of_a_machine_by_uuid(machine: Path) -> None:
    calls = fake_machine(machine, 8)
    for _ in range(3):
        assert visible_devices({}) == tuple(gpu(place) for place in range(8))
    assert calls.read_text() == "-L\n", "a process asks once"
    assert {device_name(one) for one in visible_devices({})} == {NAME}


def test_an_index_that_the_machine_lacks_ends_the_list(machine: Path) -> None:
    fake_machine(machine, 4)
    assert visible_devices({VARIABLE: "1,3,4,0"}) == ("1", "3")
    assert visible_devices({VARIABLE: "9"}) == ()


def test_the_instances_of_a_divided_gpu_take_its_place(machine: Path) -> None:
    fake_machine(machine, 4, instances=DIVIDED)
    assert visible_devices({}) == (gpu(0), mig(0), mig(1), mig(2), gpu(3))
    assert device_name(mig(1)) == f"{NAME} MIG 1g.10gb"
    assert [device_memory(one) for one in visible_devices({})] == [
        81559 * MIB, 40448 * MIB, 9728 * MIB, 80256 * MIB, 81559 * MIB,
    ]  # fmt: skip


def test_an_index_may_mean_any_gpu_unless_the_order_is_set(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_machine(machine, 3, mib=[40000, 24000, 80000])
    assert [device_memory(one) for one in ("2", gpu(2), "GPU-00000001")] == [24000 * MIB, 80000 * MIB, 24000 * MIB]
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert [device_memory(one) for one in ("2", "0", "3")] == [80000 * MIB, 40000 * MIB, None]


@pytest.mark.parametrize("script", ["exit 9", "echo no devices found", "kill $$", "printf '\\377\\376'"])
def test_a_driver_that_does_not_answer_shows_no_gpu(machine: Path, script: str) -> None:
    program = machine / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    assert visible_devices({}) == () and device_memory("0") is None and device_name("0") is None


@pytest.mark.usefixtures("bare")
def test_without_nvidia_smi_only_the_variable_tells() -> None:
    assert visible_devices({}) == ()
    assert visible_devices({VARIABLE: "0,7"}) == ("0", "7")
    assert device_memory("0") is None and device_name("0") is None


def test_devices_are_found_without_torch() -> None:
    code = "import sys; from fusionlab.study.devices import visible_devices as v; v(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
