"""What is found of a sculpture's surface once is what would be found at every slice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest

from octoprint_facesculpt.sculpture import save
from octoprint_facesculpt.sculpture.preview import FULL, coloured, look_from_below, png, save_marked, spots
from octoprint_facesculpt.sculpture.surface import overhang, read_light, read_seen, read_surface
from octoprint_facesculpt.slicing import SliceRequest
from octoprint_facesculpt.slicing.contact import mark_contact
from octoprint_facesculpt.slicing.face import find_surface, read_mesh, surface_of, to_spare


@pytest.fixture(scope="module")
def folder(bust, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save(bust, folder)
    return folder


def files(folder: Path) -> tuple[Path, Path, Path]:
    return folder / "surface.npz", folder / "bust.stl", folder / "face.json"


def test_it_is_as_if_it_were_found_anew(folder: Path, tmp_path: Path) -> None:
    path, model, face = files(folder)
    kept, plain = SliceRequest(face=face, surface=path), SliceRequest(face=face)
    quick, found = surface_of(model, kept), surface_of(model, plain)
    np.testing.assert_array_equal(quick.vertices[quick.triangles], found.vertices[found.triangles])
    assert (quick.on_face == found.on_face).mean() > 0.9999 and 0.1 < quick.on_face.mean() < 0.7
    np.testing.assert_allclose(quick.lean_deg, found.lean_deg, atol=0.01)
    assert quick.tip_deg is not None and found.tip_deg is None
    masks = [to_spare(model, request, 0.16) for request in (kept, plain)]
    assert masks[0] is not None and masks[1] is not None and (masks[0][2] == masks[1][2]).mean() > 0.9999
    # A line of support just below the chin's lowest triangles.
    chin = quick.vertices[quick.triangles[quick.on_face & (quick.lean_deg > 50)]].mean(1)
    lines = np.concatenate([chin, chin], axis=1).astype(np.float32) - np.float32([0, 0, 0.2, 1, 0, 0.2])
    lines[:, [0, 1, 3, 4]] += np.float32(117.5) - np.tile((quick.vertices.min(0) + quick.vertices.max(0))[:2] / 2, 2)
    figures = [
        mark_contact(lines, quick, kept, tmp_path / "quick.png", model),
        mark_contact(lines, found, plain, tmp_path / "a.png"),
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-3) and figures[0]["face_mm2"] > 5
    from PIL import Image

    pictures = [np.asarray(Image.open(tmp_path / name), int) for name in ("quick.png", "a.png")]
    assert (np.abs(pictures[0] - pictures[1]) > 8).mean() < 1e-3


def test_only_what_is_marked_is_drawn_anew(bust, tmp_path: Path) -> None:
    from PIL import Image

    seen = look_from_below(bust.vertices, bust.triangles, 160)
    marked = overhang(bust.vertices, bust.triangles) > 45
    save_marked(spots(seen.triangle, marked), seen.light, coloured(seen), marked, tmp_path / "part.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "part.png")), coloured(seen, marked))
    assert png(coloured(seen)) != (tmp_path / "part.png").read_bytes() and seen.light.max() > 0.8 * FULL


def test_only_pictures_are_packed(folder: Path) -> None:
    """The mesh is read twice in each slice, and hardly becomes smaller."""
    packed = {member.filename for member in ZipFile(folder / "surface.npz").infolist() if member.compress_type != ZIP_STORED}
    assert packed == {"seen.npy", "plain.npy", "light.npy"}


def test_an_unsound_look_is_taken_anew(folder: Path, tmp_path: Path) -> None:
    path, model, face = files(folder)
    with np.load(path) as archive:
        arrays = dict(archive)
    side = len(arrays["seen"])
    broken = tmp_path / "surface.npz"
    for name, value in (("seen", arrays["seen"][:-1]), ("seen", arrays["seen"] + 10**7), ("seen", np.int32(3))):
        np.savez(broken, **{**arrays, name: value})
        assert read_seen(broken, model, face, len(arrays["triangles"])) is None
        assert read_light(broken, model, face, side) is not None
    for name, value in (("light", arrays["light"][1:]), ("plain", arrays["plain"][..., 0]), ("plain", arrays["plain"] * 1.0)):
        np.savez(broken, **{**arrays, name: value})
        assert read_seen(broken, model, face, len(arrays["triangles"])) is not None
        assert read_light(broken, model, face, side) is None
    # The picture is then as if nothing had been kept.
    quick = surface_of(model, SliceRequest(face=face, surface=path))
    chin = quick.vertices[quick.triangles[quick.on_face & (quick.lean_deg > 50)]].mean(1) - np.float32([0, 0, 0.2])
    chin[:, :2] += np.float32(117.5) - (quick.vertices.min(0) + quick.vertices.max(0))[:2] / 2
    for surface, name in ((broken, "broken.png"), (None, "none.png")):
        mark_contact(np.tile(chin, 2), quick, SliceRequest(face=face, surface=surface), tmp_path / name, model)
    assert (tmp_path / "broken.png").read_bytes() == (tmp_path / "none.png").read_bytes()


def test_it_counts_for_no_other_mesh_or_face(folder: Path, tmp_path: Path) -> None:
    for name in ("surface.npz", "bust.stl", "face.json"):
        shutil.copy(folder / name, tmp_path)
    path, model, face = files(tmp_path)
    assert read_surface(path, model, face) is not None and read_seen(path, model, face, 10**7) is not None
    moved = bytearray(model.read_bytes())
    moved[200] ^= 1
    model.write_bytes(moved)
    assert read_surface(path, model, face) is None and read_seen(path, model, face, 10**7) is None
    shutil.copy(folder / "bust.stl", model)
    data = json.loads(face.read_text())
    face.write_text(json.dumps({**data, "reach_mm": data["reach_mm"] / 2}))
    assert read_surface(path, model, face) is None
    # What then is found is of the other face.
    less = surface_of(model, SliceRequest(face=face, surface=path))
    assert (
        less.tip_deg is None
        and 0 < less.on_face.sum() < find_surface(*read_mesh(model), SliceRequest(face=files(folder)[2])).on_face.sum()
    )


@pytest.mark.parametrize(
    "change",
    [
        {"triangles": np.full((4, 3), 10**6, np.int32)}, {"triangles": np.zeros((4, 2), np.int32)},
        {"vertices": np.zeros((5, 3))}, {"lean_deg": np.zeros(3, np.float32)}, {"on_face": np.zeros(4, np.int8)},
        {"tip_deg": np.float64(np.nan)}, {"vertices": np.array([None] * 4)}, {"on_face": None},
    ],
)  # fmt: skip
def test_a_file_that_is_not_sound_counts_for_nothing(change: dict, folder: Path, tmp_path: Path) -> None:
    path, model, face = files(folder)
    with np.load(path) as archive:
        arrays = {**archive, **change}
    broken = tmp_path / "surface.npz"
    np.savez(broken, **{name: values for name, values in arrays.items() if values is not None})
    assert read_surface(broken, model, face) is None
    for data in (b"", b"PK", path.read_bytes()[:-200], path.read_bytes()[:5000]):
        broken.write_bytes(data)
        assert read_surface(broken, model, face) is None
    assert read_surface(tmp_path / "missing.npz", model, face) is None


def test_to_read_it_takes_no_heavy_library(folder: Path) -> None:
    path, model, face = files(folder)
    program = (
        "import sys; from pathlib import Path; from octoprint_facesculpt.slicing import SliceRequest;"
        "from octoprint_facesculpt.slicing.face import to_spare; from octoprint_facesculpt.slicing.blocking import shell;"
        f"found = to_spare(Path({str(model)!r}), SliceRequest(face=Path({str(face)!r}), surface=Path({str(path)!r})), 0.16);"
        "shell(*found); assert not {'trimesh', 'scipy', 'skimage', 'torch'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
