"""What slicing needs to know of a sculpture's surface, found once when it is made and kept beside its STL.

Which triangles are the face, how far each leans out and how the sculpture looks from below do not change from one slice to the
next. To find them takes trimesh, scipy, seconds and hundreds of megabytes; to read them, numpy and a moment.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np

from .export import write
from .preview import coloured, look_from_below

#: Bytes of such a file, and of each array in it, that are read at most.
MAX_BYTES = 64 * 1024 * 1024
#: Triangles that are looked at at once.
_BLOCK = 32768


@dataclass(frozen=True)
class Surface:
    """A mesh as it will be printed.

    ``vertices`` (V, 3) mm; ``triangles`` (T, 3); ``lean_deg`` (T,): see :func:`overhang`; ``on_face`` (T,): which triangles
    belong to the face; ``tip_deg``: by how much it can lean before it falls, if that is known.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    lean_deg: np.ndarray
    on_face: np.ndarray
    tip_deg: float | None = None


def overhang(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(T,) degrees by which each triangle leans out from the vertical, smoothed over its neighbours; negative: looks up."""
    mean = point_normals(vertices, triangles)[triangles].sum(1)
    length = np.linalg.norm(mean, axis=1)
    return np.degrees(np.arcsin(np.clip(-mean[:, 2] / np.maximum(length, 1e-12), -1, 1)))


def point_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Sums (V, 3) of the normals of the triangles around each vertex, each as long as its triangle is large."""
    around = np.zeros((len(vertices), 3))
    for begin in range(0, len(triangles), _BLOCK):
        part = triangles[begin : begin + _BLOCK]
        corners = vertices[part].astype(np.float64)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        for axis in range(3):
            around[:, axis] += np.bincount(part.ravel(), normals[:, axis].repeat(3), len(vertices))
    return around


def covered(places: np.ndarray, points: np.ndarray, reach_mm: float) -> np.ndarray:
    """Which of ``places`` (P, 3) are nearer than ``reach_mm`` to one of the ``points`` (N, 3): mask (P,)."""
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(points).query(places, distance_upper_bound=reach_mm)
    return np.isfinite(distance)


def save_surface(
    vertices: np.ndarray, triangles: np.ndarray, points: np.ndarray, reach_mm: float, model: Path, face: Path, path: Path
) -> Path:
    """Find and write the surface of a mesh ((V, 3) mm, (T, 3)) that lies in the file ``model``, and whose face is around
    ``points`` (N, 3), as the file ``face`` says."""
    from .costs import tipping_angle

    # As the STL has them.
    vertices = vertices.astype(np.float32)
    standing = vertices - np.array([0, 0, vertices[:, 2].min()], np.float32)
    seen = look_from_below(vertices, triangles)
    mesh = {
        "made_of": np.array([_checksum(model), _checksum(face)], np.uint32),
        "vertices": vertices,
        "triangles": triangles.astype(np.int32),
        "lean_deg": overhang(vertices, triangles).astype(np.float32),
        "on_face": covered(vertices[triangles].mean(1), points, reach_mm),
        "tip_deg": np.float64(tipping_angle(standing.astype(np.float64), triangles)),
    }
    looks = {"seen": seen.triangle, "plain": coloured(seen), "light": seen.light}
    buffer = BytesIO()
    # As numpy.savez does it. Pictures pack to a tenth; the mesh, which every slice reads twice, hardly to two thirds.
    with ZipFile(buffer, "w") as archive:
        for packed, arrays in ((ZIP_STORED, mesh), (ZIP_DEFLATED, looks)):
            for name, array in arrays.items():
                member = BytesIO()
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
                archive.writestr(f"{name}.npy", member.getvalue(), packed)
    return write(path, buffer.getvalue())


def read_surface(path: Path, model: Path, face: Path) -> Surface | None:
    """What :func:`save_surface` wrote, or None when it is not of just these files; then it has to be found anew."""
    read = _read(path, model, face, ("vertices", "triangles", "lean_deg", "on_face", "tip_deg"))
    if read is None:
        return None
    vertices, triangles, lean, on_face, tip = read
    count = len(triangles)
    sound = vertices.dtype == np.float32 and vertices.ndim == 2 and vertices.shape[1] == 3 and len(vertices)
    sound = sound and triangles.dtype == np.int32 and triangles.shape == (count, 3) and count and triangles.min() >= 0
    sound = sound and triangles.max() < len(vertices) and lean.dtype == np.float32 and lean.shape == (count,)
    sound = sound and on_face.dtype == bool and on_face.shape == (count,) and tip.shape == () and np.isfinite(tip)
    return Surface(vertices, triangles, lean, on_face, float(tip)) if sound else None


def read_seen(path: Path, model: Path, face: Path, triangles: int) -> np.ndarray | None:
    """What of a surface of so many triangles is seen from below (``Seen.triangle``) that :func:`save_surface` wrote; or None as
    :func:`read_surface`."""
    read = _read(path, model, face, ("seen",))
    if read is None:
        return None
    (seen,) = read
    side = len(seen) if seen.ndim else 0
    sound = seen.dtype == np.int32 and seen.shape == (side, side) and side and side % 2 == 0
    return seen if sound and seen.max() < triangles and seen.min() >= -1 else None


def read_light(path: Path, model: Path, face: Path, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    """How bright that is in ``side`` x ``side`` places (``Seen.light``), and its picture; or None as :func:`read_surface`."""
    read = _read(path, model, face, ("light", "plain"))
    if read is None:
        return None
    light, plain = read
    sound = light.dtype == plain.dtype == np.uint8 and light.shape == (side, side)
    return (light, plain) if sound and plain.shape == (side // 2, side // 2, 3) else None


def _read(path: Path, model: Path, face: Path, names: tuple[str, ...]) -> list[np.ndarray] | None:
    """Arrays of a file, if it is of these files and no larger than such a file is."""
    with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
        if path.stat().st_size > MAX_BYTES:
            return None
        with np.load(path, allow_pickle=False) as archive:
            if any(member.file_size > MAX_BYTES for member in archive.zip.infolist()):
                return None
            if archive["made_of"].tolist() == [_checksum(model), _checksum(face)]:
                return [archive[name] for name in names]
    return None


def _checksum(path: Path) -> int:
    """CRC-32 of a file."""
    state = path.stat()
    return _checksum_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4)
def _checksum_of(path: Path, size: int, changed_ns: int) -> int:
    """The same of a file that is known by its size and when it was changed, and is asked for again and again."""
    total = 0
    with path.open("rb") as file:
        while block := file.read(1 << 18):
            total = zlib.crc32(block, total)
    return total
