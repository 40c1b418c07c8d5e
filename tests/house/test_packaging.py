"""What lands on another machine: the package with its conf, its types and one version."""

from __future__ import annotations

import ast
import email
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from tree import PACKAGE, ROOT

import fusionlab
from fusionlab.config import catalogue

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("a wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_holds_the_whole_conf(wheel: zipfile.ZipFile) -> None:
    ours = {str(file.relative_to(ROOT)) for file in (ROOT / "conf").rglob("*") if file.is_file()}
    assert {f"fusionlab/{name}" for name in ours} == {name for name in wheel.namelist() if "/conf/" in name}


def test_the_wheel_holds_every_module_its_types_and_its_license(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {f"fusionlab/{file.relative_to(PACKAGE)}" for file in PACKAGE.rglob("*.py")} <= names
    assert "fusionlab/py.typed" in names
    assert {f"fusionlab/results/page/{file}" for file in ("page.html", "parts.html", "page.css", "page.js")} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("fusionlab/", "fusionlab-"))]


def test_the_version_is_written_once(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
    assert email.message_from_bytes(wheel.read(metadata))["Version"] == fusionlab.__version__
    assert PROJECT["project"]["dynamic"] == ["version"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None and cited[1] == fusionlab.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(fusionlab.__version__)}\b", changes, re.MULTILINE)


def test_conf_is_found_in_the_tree() -> None:
    assert (catalogue.packaged() / "fusion" / "sum.yaml").is_file()
    if Path(fusionlab.__file__).resolve().is_relative_to(ROOT):
        assert catalogue.packaged() == ROOT / "conf", "an editable install reads the tree's own conf"


def test_conf_is_found_in_the_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = "from fusionlab.config import catalogue; print(catalogue.packaged())"
    around = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=around, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str((tmp_path / "fusionlab" / "conf").resolve())


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", line)[0].lower() for line in requirements} - {"fusionlab"}


def test_every_dependency_has_a_lower_bound_and_a_pin() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    every = PROJECT["project"]["dependencies"] + [line for lines in extras.values() for line in lines]
    for line in every:
        assert ">=" in line or line.startswith("fusionlab["), f"{line} has no lower bound"
    for name in declared(every) - {"tensorboard"}:  # an extra that CI does not install
        assert re.search(rf"^{re.escape(name)}==", LOCK, re.MULTILINE), (
            f"{name} is not in requirements.lock; try: make lock"
        )


def test_every_import_of_the_package_is_declared() -> None:
    spelled = {"cv2": "opencv-contrib-python-headless", "hydra": "hydra-core", "yaml": "pyyaml"}
    needed = set()
    for file in PACKAGE.rglob("*.py"):
        if file.is_relative_to(PACKAGE / "testing"):
            continue  # imported by tests, which have pytest
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                needed |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                needed.add(node.module.partition(".")[0])
    third = {
        spelled.get(name, name.replace("_", "-")) for name in needed - set(sys.stdlib_module_names) - {"fusionlab"}
    }
    assert third <= declared(PROJECT["project"]["dependencies"]) | {"huggingface-hub", "timm", "wandb"}


@pytest.mark.parametrize("file", ["requirements.lock", "requirements-uv.txt"])
def test_a_lock_pins_and_hashes_everything(file: str) -> None:
    blocks = re.split(r"\n(?=\S)", "\n" + (ROOT / file).read_text(encoding="utf-8"))
    pinned = [block for block in blocks if block.strip() and not block.lstrip().startswith("#")]
    assert pinned
    for block in pinned:
        assert re.match(r"\n?[a-z0-9._-]+==\S+", block) and "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in "".join(blocks)


def test_the_scripts_of_ci_can_be_run() -> None:
    for file in (ROOT / ".ci").iterdir():
        assert os.access(file, os.X_OK), f"{file.name} is not executable"
        if bash := shutil.which("bash"):
            subprocess.run([bash, "-n", str(file)], check=True)
