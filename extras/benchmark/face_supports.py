"""How much of the face supports touch, kept off it or not: python extras/benchmark/face_supports.py HEAD.npz ...

Each head (as ``reconstruct -o HEAD.npz`` writes it) is sliced really, with each way to treat the face beside ``ignore``, in
which the slicer puts its supports where it likes. Also told is how far the face hangs in the air then: outer walls on it that,
within a line's width, have neither the model's layer below them nor, farther down, a support. Slicers leave a gap between
supports and what they hold, and leave bridges and short overhangs without supports: those hang with ``ignore`` too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).parents[2]))

from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.sculpture import SculptureSettings, sculpt
from octoprint_facesculpt.sculpture.export import export_mesh, write_face
from octoprint_facesculpt.slicing import SliceRequest, slice_model
from octoprint_facesculpt.slicing.contact import measure_contact
from octoprint_facesculpt.slicing.face import CARES, Face, find_surface, read_face
from octoprint_facesculpt.slicing.gcode_index import read_index
from octoprint_facesculpt.slicing.layer_picture import strokes

#: Lines are looked at in points this far apart; one lies on another within this distance, mm.
STEP, LINE = 0.4, 0.45
#: What holds a layer lies at least this far below it, a layer of the model at most so far, and a support so far, mm.
LEAST_GAP, LAYER_GAP, SUPPORT_GAP = 0.02, 0.4, 0.8
OUTER, SUPPORT = 1, 2
KINDS = {"outer": OUTER, "bridge": OUTER, "support": SUPPORT, "interface": SUPPORT}


def in_the_air(gcode: Path, index_file: Path, face: Face, shift: np.ndarray) -> tuple[float, float]:
    """mm of outer wall on a face that nothing holds, and the longest such stretch; ``shift`` (x, y) moves the mesh to where it
    is printed."""
    index = read_index(index_file, gcode)
    total = longest = 0.0
    lower: dict[float, tuple[np.ndarray, np.ndarray]] = {}
    places = Face(face.points + np.array([*shift, 0.0]), face.reach_mm)
    for number, layer in enumerate(index.layers):
        points, kinds = _points(strokes(gcode, index, number))
        lower = {height: both for height, both in lower.items() if layer.z - height < SUPPORT_GAP}
        held = [there for height, (_, there) in lower.items() if layer.z - height > LEAST_GAP]
        held += [there for height, (there, _) in lower.items() if LEAST_GAP < layer.z - height < LAYER_GAP]
        outer, run = points[kinds == OUTER], 0.0
        outer = outer[places.covers(np.c_[outer, np.full(len(outer), layer.z)])] if held and len(outer) else outer[:0]
        if len(outer):
            distance, _ = cKDTree(np.concatenate(held)).query(outer)
            for hanging in distance > LINE:
                run = run + STEP if hanging else 0.0
                total, longest = total + STEP * bool(hanging), max(longest, run)
        lower[layer.z] = points[kinds != SUPPORT], points[kinds == SUPPORT]
    return total, longest


def _points(lines) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) along lines, and for each :data:`OUTER`, :data:`SUPPORT` or 0."""
    if not lines:
        return np.zeros((0, 2)), np.zeros(0)
    a, b = np.array([line.start for line in lines]), np.array([line.end for line in lines])
    kind = np.array([KINDS.get(line.kind, 0) for line in lines], int)
    count = np.maximum(np.ceil(np.linalg.norm(b - a, axis=1) / STEP).astype(int), 1)
    owner = np.repeat(np.arange(len(a)), count)
    share = (np.arange(len(owner)) - np.repeat(count.cumsum() - count, count)) / count[owner]
    return a[owner] + share[:, None] * (b - a)[owner], kind[owner]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("heads", nargs="+", type=Path)
    arguments.add_argument("--engines", nargs="+", default=["prusaslicer", "curaengine"])
    arguments.add_argument("--profile", default="bust_016")
    arguments.add_argument("--height-mm", type=float, default=100.0)
    given = arguments.parse_args()
    print("head engine care | hours grams | touched cm2: all face | of ignore | in the air mm: all longest")
    for file in given.heads:
        settings = SculptureSettings(height_mm=given.height_mm, max_triangles=60_000)
        sculpture = sculpt(Head.load(file), settings)
        for engine in given.engines:
            first = 0.0
            for care in reversed(CARES):
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    model = export_mesh(sculpture.vertices, sculpture.triangles, folder / "bust.stl")
                    face = write_face(sculpture.landmarks, folder / "face.json")
                    request = SliceRequest(
                        engine=engine, profile=given.profile, face=face, face_care=care, index=folder / "index.json",
                        keep_supports=True,
                    )  # fmt: skip
                    result = slice_model(model, folder / "bust.gcode", request)
                    centre = np.array(request.bed.centre)
                    surface = find_surface(sculpture.vertices, sculpture.triangles, request)
                    assert result.support_lines is not None
                    contact = measure_contact(result.support_lines, surface, (centre[0], centre[1]))
                    middle = (sculpture.vertices.min(0) + sculpture.vertices.max(0))[:2] / 2
                    air, stretch = in_the_air(folder / "bust.gcode", request.index, read_face(face), centre - middle)
                first = contact.face_mm2 if care == "ignore" else first
                print(
                    f"{file.parent.name}/{file.stem} {engine} {care} | {result.estimated_seconds / 3600:.1f} "
                    f"{result.filament_g:.0f} | {contact.area_mm2 / 100:.1f} {contact.face_mm2 / 100:.2f} | "
                    f"{contact.face_mm2 / max(first, 1e-9):.2f} | {air:.0f} {stretch:.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
