"""What is loaded, by sys.modules of a fresh process: a list says the same everywhere, a timer does not."""

from __future__ import annotations

import subprocess
import sys

import pytest
from levels import BY_NAME, LISTING, package_of
from tree import MODULES_SCRIPT, PACKAGE, modules

HEAVY = {
    "torch",
    "torchvision",
    "pytorch_lightning",
    "lightning",
    "torchmetrics",
    "pandas",
    "matplotlib",
    "cv2",
    "av",
    "decord",
    "safetensors",
    "scipy",
    "wandb",
}
CONFIG_READERS = {"hydra", "omegaconf", "yaml"}
COMMANDS = sorted({file.stem for file in PACKAGE.glob("*.py")} - set(BY_NAME) - {"__init__"})


def loaded(*names: str) -> set[str]:
    """The top-level modules that importing these adds to a bare interpreter."""
    done = subprocess.run([sys.executable, "-c", MODULES_SCRIPT, *names], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_imports_nothing() -> None:
    assert loaded("fusionlab") == {"fusionlab"}


@pytest.mark.parametrize("name", ["errors", "records", "study", "results"])
def test_light_packages_never_load_torch(name: str) -> None:
    inside = [module for module, file in modules().items() if module != "fusionlab" and package_of(file).name == name]
    assert inside
    allowed = {"pandas", "matplotlib"} if name == "results" else set()
    assert not loaded(*inside) & ((HEAVY | CONFIG_READERS) - allowed)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_light_until_it_works(name: str) -> None:
    """So that --help answers at once."""
    assert not loaded(f"fusionlab.{name}") & HEAVY


def test_the_list_of_commands_imports_none_of_them() -> None:
    assert loaded(f"fusionlab.{LISTING}") & (HEAVY | CONFIG_READERS | {"numpy"}) == set()
