"""Files of torch.save that ask for more memory than they hold are refused before torch reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fusionlab.records.torch_files import UnsafeTorchFile, refuse_bombs


def saved(path: Path, tensor: torch.Tensor, *, zipped: bool = True) -> Path:
    torch.save({"x": tensor}, path, _use_new_zipfile_serialization=zipped)
    return path


def rewritten(path: Path, change: Callable[[str, bytes], bytes], how: int = zipfile.ZIP_STORED) -> Path:
    """The same entries in the same order, with other content."""
    with zipfile.ZipFile(path) as archive:
        entries = [(name, change(name, archive.read(name))) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("tensor", [torch.arange(12.0).reshape(3, 4).T, torch.zeros(0), torch.ones(5).bfloat16()])
def test_what_torch_wrote_passes(tmp_path: Path, tensor: torch.Tensor, zipped: bool) -> None:
    refuse_bombs(saved(tmp_path / "x.pt", tensor, zipped=zipped))
    if zipped:
        refuse_bombs(rewritten(tmp_path / "x.pt", lambda name, content: content))


def test_a_storage_that_claims_more_than_its_entry_has_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.pt", torch.ones(4))
    rewritten(file, lambda name, content: content[:4] if name.endswith("data/0") else content)
    with pytest.raises(UnsafeTorchFile, match="storage 0 claims 16 bytes"):
        refuse_bombs(file)


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    file = rewritten(saved(tmp_path / "x.pt", torch.zeros(1000)), lambda name, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsafeTorchFile, match="compressed"):
        refuse_bombs(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path, zipped: bool) -> None:
    with pytest.raises(UnsafeTorchFile):
        refuse_bombs(saved(tmp_path / "x.pt", torch.zeros(1).expand(10**9), zipped=zipped))


def test_a_legacy_file_that_ends_before_its_storages_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path / "x.pt", torch.zeros(100_000), zipped=False)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UnsafeTorchFile, match="claim 400000 bytes"):
        refuse_bombs(file)
