"""Wheel and sdist: they carry what is needed and nothing else, and work in an environment without the checkout."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
PACKAGE = "octoprint_facesculpt"
#: Declared for a library of ours, which imports them when it writes 3MF.
FOR_OTHERS = {"lxml", "networkx"}


#: Releases with which our own tests fail.
TOO_OLD = {"manifold3d": "3.1.1", "trimesh": "4.5.3"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, and the wheel that is built from it, of a copy of the checkout: a build leaves files behind."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "babel.cfg"):
        shutil.copy(ROOT / name, copy)
    for name in (PACKAGE, "tests", "extras"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    run = _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy, cwd=out)
    assert run.returncode == 0, run.stdout + run.stderr
    return {"wheel": next(out.glob("*.whl")), "sdist": next(out.glob("*.tar.gz"))}


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def python(request: pytest.FixtureRequest, built: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment in which only the wheel or the sdist is installed.

    The dependencies, more than a gigabyte, are lent by the environment of this test run: a .pth file puts its
    site-packages behind the new one's own, and .pth files in there are not read, so a checkout installed editable in it
    stays out of sight.
    """
    folder = tmp_path_factory.mktemp(request.param)
    run = _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    assert run.returncode == 0, run.stderr
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    python = folder / "bin" / "python"
    install = ["install", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", built[request.param]]
    run = _run(sys.executable, "-m", "pip", "--python", python, *install, cwd=folder)
    assert run.returncode == 0, run.stderr
    return python


def test_the_wheel_carries_the_whole_package_and_nothing_else(built: dict[str, Path]) -> None:
    names = zipfile.ZipFile(built["wheel"]).namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == _package_files()
    for needed in (
        "assets.lock.json",
        "reconstruction/weights/facesculpt-vrn.safetensors",
        "static/js/facesculpt.js",
        "static/css/facesculpt.css",
        "templates/facesculpt_tab.jinja2",
        "translations/de/LC_MESSAGES/messages.mo",
    ):
        assert f"{PACKAGE}/{needed}" in inside


def test_the_sdist_carries_neither_tests_nor_extras(built: dict[str, Path]) -> None:
    with tarfile.open(built["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    assert {name.partition("/")[0] for name in names} == {
        PACKAGE, "OctoPrint_FaceSculpt.egg-info", "setup.py", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md",
        "LICENSE", "babel.cfg", "PKG-INFO",
    }  # fmt: skip
    assert {name for name in names if name.startswith(f"{PACKAGE}/")} == _package_files()


def test_the_installed_package_is_not_the_checkout(python: Path, tmp_path: Path) -> None:
    program = (
        f"import {PACKAGE}, importlib.metadata as m; print({PACKAGE}.__file__); "
        "print([e.value for e in m.entry_points(group='octoprint.plugin') if e.name == 'facesculpt'][0])"
    )
    run = _run(python, "-c", program, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    place, entry = run.stdout.splitlines()
    assert Path(place).is_relative_to(python.parents[1])
    assert entry == PACKAGE


def test_the_installed_commands_work(python: Path, tmp_path: Path, astronaut: Path, assets_folder: Path) -> None:
    run = _run(python, "-m", PACKAGE, "--help", cwd=tmp_path)
    assert run.returncode == 0 and "reconstruct" in run.stdout
    run = _run(python, "-m", PACKAGE, "portrait", astronaut, "-o", "copy.jpg", "--assets", assets_folder, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("1 face(s)")
    assert (tmp_path / "copy.jpg").read_bytes().startswith(b"\xff\xd8")


def test_octoprint_finds_the_installed_plugin(python: Path, tmp_path: Path) -> None:
    run = _run(python, "-m", "octoprint", "--basedir", tmp_path, "plugins", "facesculpt:slice", "--help", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "--profile" in run.stdout


def test_setup_does_not_import_octoprint() -> None:
    program = (
        "import sys, runpy; sys.modules['octoprint'] = None; sys.argv = ['setup.py', '--name']; runpy.run_path('setup.py')"
    )
    run = _run(sys.executable, "-c", program, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip().endswith("OctoPrint-FaceSculpt")


def test_dependencies_are_those_that_are_imported(built: dict[str, Path]) -> None:
    declared, used = _names(_requirements(built["wheel"])), _imported(PACKAGE)
    assert used - _lent() <= declared
    assert declared - FOR_OTHERS <= used


def test_the_test_extra_brings_what_tests_import(built: dict[str, Path]) -> None:
    requirements = _requirements(built["wheel"])
    extra = _names([r.partition(";")[0] for r in requirements if 'extra == "test"' in r])
    # Benchmarks compare with these where somebody has installed them: they have no wheels for every machine.
    assert _imported("tests") | _imported("extras") - {"eos", "dlib"} <= _names(requirements) | extra | _lent() | {"octoprint"}


def _run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def _package_files() -> set[str]:
    """All files of the package in the checkout."""
    files = (ROOT / PACKAGE).rglob("*")
    return {str(f.relative_to(ROOT)) for f in files if f.is_file() and "__pycache__" not in f.parts}


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return re.findall(r"^Requires-Dist: (.+)$", archive.read(metadata).decode(), re.MULTILINE)


def _lent() -> set[str]:
    """Flask, click and what else OctoPrint itself is made of: it comes with it, in the release that fits it."""
    return _names(importlib.metadata.requires("octoprint") or [])


def _imported(folder: str) -> set[str]:
    """Names of other projects' distributions that a folder's files import anywhere."""
    found: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    # Training's files stand side by side and import each other by name.
    ours = {PACKAGE, "tests", "extras", *(file.stem for file in (ROOT / "extras").rglob("*.py"))}
    homes = importlib.metadata.packages_distributions()
    # A distribution that is one binary module, such as manifold3d, is not in that table; it has its module's name.
    return {_name(homes.get(module, [module])[0]) for module in found - set(sys.stdlib_module_names) - ours}


def _names(requirements: list[str]) -> set[str]:
    """Names of the requirements that hold without an extra."""
    return {_name(requirement) for requirement in requirements if "extra ==" not in requirement}


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~;\[(]", requirement.strip(), maxsplit=1)[0]).lower()


@pytest.mark.parametrize(("name", "version"), TOO_OLD.items())
def test_no_release_is_allowed_that_lacks_what_is_used(name: str, version: str) -> None:
    """pip leaves an old release where it is as long as it is allowed."""
    (wanted,) = re.findall(rf'"{name}(>=[^"]+)"', (ROOT / "setup.py").read_text())
    assert version not in SpecifierSet(wanted)
