"""A fake nvidia-smi: a machine with GPUs that no program can use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

NAME = "NVIDIA H100 80GB HBM3"


def gpu(place: int) -> str:
    return f"GPU-{place:08d}-1111-2222-3333-444444444444"


def mig(place: int) -> str:
    return f"MIG-{place:08d}-5555-6666-7777-888888888888"


def fake_machine(
    folder: Path,
    gpus: int = 8,
    *,
    mib: Sequence[int] = (),
    instances: Mapping[int, Sequence[tuple[str, int]]] | None = None,
) -> Path:
    """Write the program into a folder, for PATH; returns the file in which it counts its calls.

    `mib`: the memory of each GPU, else 81559. `instances`: GPU -> profile and MiB of each of its MIG instances.
    """
    sizes = [*mib, *[81559] * gpus][:gpus]
    listing, xml, number = [], [], 0
    for place in range(gpus):
        listing.append(f"GPU {place}: {NAME} (UUID: {gpu(place)})")
        own = []
        for index, (profile, size) in enumerate((instances or {}).get(place, ())):
            listing.append(f"  MIG {profile}     Device  {index}: (UUID: {mig(number)})")
            total = f"<fb_memory_usage><total>{size} MiB</total></fb_memory_usage>"
            own.append(f"<mig_device><index>{index}</index>{total}</mig_device>")
            number += 1
        whole = f"<fb_memory_usage><total>{sizes[place]} MiB</total></fb_memory_usage>"
        xml.append(f"<gpu><uuid>{gpu(place)}</uuid><mig_devices>{''.join(own)}</mig_devices>{whole}</gpu>")
    answers = {
        "-L": "\n".join(listing),
        "--query-gpu=uuid,memory.total": "\n".join(f"{gpu(place)}, {size}" for place, size in enumerate(sizes)),
        "-q": f"<?xml version='1.0' ?><nvidia_smi_log>{''.join(xml)}</nvidia_smi_log>",
    }
    folder.mkdir(parents=True, exist_ok=True)
    calls = folder / "calls"
    for place, answer in enumerate(answers.values()):
        (folder / f"answer-{place}").write_text(answer + "\n", encoding="utf-8")
    cases = "\n".join(f"'{word}') cat '{folder}/answer-{place}' ;;" for place, word in enumerate(answers))
    program = folder / "nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$*" >> \'{calls}\'\ncase "$1" in\n{cases}\n*) exit 6 ;;\nesac\n')
    program.chmod(0o755)
    return calls
