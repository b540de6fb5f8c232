"""What is no printable model is refused, whatever an engine makes of it, the same for both engines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh

from octoprint_facesculpt.slicing import ENGINES, SliceRequest

from .conftest import refused


def _open_box() -> trimesh.Trimesh:
    box = trimesh.creation.box((20, 20, 20))
    box.update_faces(np.arange(len(box.faces)) > 0)
    return box


def _not_finite(path: Path) -> None:
    trimesh.creation.box((20, 20, 20)).export(path)
    data = bytearray(path.read_bytes())
    data[96:100] = np.float32(np.nan).tobytes()
    path.write_bytes(data)


def _sheets() -> trimesh.Trimesh:
    """A closed box with a fin: one of its edges belongs to three triangles."""
    box = trimesh.creation.box((20, 20, 20))
    fin = [*box.faces[0][:2], len(box.vertices)]
    return trimesh.Trimesh([*box.vertices, (40, 40, 40)], [*box.faces, fin], process=False)


def _binary_stl(path: Path, count: int, said: int | None = None) -> None:
    """A binary STL file of the right size for its number of triangles, which are all the same point."""
    path.write_bytes(bytes(80) + (count if said is None else said).to_bytes(4, "little"))
    os.truncate(path, 84 + 50 * count)


BAD_MODELS: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "empty file": ("model.stl", "model_empty", lambda path: path.write_bytes(b"")),
    "no triangles": ("model.stl", "model_empty", lambda path: path.write_bytes(bytes(84))),
    "text": ("model.stl", "model_invalid", lambda path: path.write_text("Dear printer, please print this.")),
    "a photo": ("model.stl", "model_invalid", lambda path: path.write_bytes(b"\xff\xd8\xff\xe0" + os.urandom(5000))),
    "cut off": (
        "model.stl", "model_invalid", lambda path: (trimesh.creation.icosphere().export(path), os.truncate(path, 5000)),
    ),
    "not a number": ("model.stl", "model_invalid", _not_finite),
    "nothing there": ("model.stl", "model_invalid", lambda path: None),
    "a folder": ("model.stl", "model_invalid", lambda path: path.mkdir()),
    "unknown kind": ("model.doc", "model_invalid", lambda path: path.write_bytes(b"PK\3\4" + bytes(500))),
    "broken 3MF": ("model.3mf", "model_invalid", lambda path: path.write_bytes(b"PK\3\4" + bytes(500))),
    "empty OBJ": ("model.obj", "model_empty", lambda path: path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")),
    "open": ("model.stl", "model_open", lambda path: _open_box().export(path)),
    "open OBJ": ("model.obj", "model_open", lambda path: _open_box().export(path)),
    "one triangle": (
        "model.stl", "model_open", lambda path: trimesh.Trimesh(np.eye(3) * 20, [[0, 1, 2]]).export(path),
    ),
    "ten metres": ("model.stl", "too_large", lambda path: trimesh.creation.box((10_000, 10, 10)).export(path)),
    "too high": ("model.stl", "too_large", lambda path: trimesh.creation.box((10, 10, 255)).export(path)),
    "wide as the bed": ("model.stl", "too_large", lambda path: trimesh.creation.box((234, 10, 10)).export(path)),
    "in metres": ("model.stl", "model_invalid", lambda path: trimesh.creation.box((0.1, 0.1, 0.16)).export(path)),
    "no thickness": ("model.stl", "model_invalid", lambda path: trimesh.creation.box((20, 20, 0)).export(path)),
    "three sheets on one edge": ("model.stl", "model_open", lambda path: _sheets().export(path)),
    "five million triangles": ("model.stl", "model_invalid", lambda path: _binary_stl(path, 5_000_000)),
    "more triangles than it says": ("model.stl", "model_invalid", lambda path: _binary_stl(path, 12, said=11)),
    "in inches": ("model.stl", "model_invalid", lambda path: trimesh.creation.box((1.5, 1.5, 1.6)).export(path)),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "code", "make"), BAD_MODELS.values(), ids=BAD_MODELS)
def test_a_bad_model_is_refused(engine: str, name: str, code: str, make: Callable[[Path], object], tmp_path: Path) -> None:
    model, folder = tmp_path / name, tmp_path / "out"
    folder.mkdir()
    make(model)
    error = refused(model, folder, SliceRequest(engine, "bust_028"))
    assert error.code == code and error.bad_input


def test_triangles_in_any_order_and_orientation_are_closed(tmp_path: Path) -> None:
    from octoprint_facesculpt.slicing.model_check import model_size

    sphere = trimesh.creation.icosphere(4, 10)
    random = np.random.default_rng(1)
    faces = random.permutation(sphere.faces)
    faces[::3] = faces[::3, ::-1]
    path = tmp_path / "mixed.stl"
    trimesh.Trimesh(sphere.vertices, faces, process=False).export(path)
    assert model_size(path) == pytest.approx([20, 20, 20], abs=0.1)
