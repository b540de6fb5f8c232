"""How much of the face supports touch, kept off it or not: python extras/benchmark/face_supports.py HEAD.npz ...

Each head (as ``reconstruct -o HEAD.npz`` writes it) is sliced really, with each way to treat the face beside ``ignore``, in
which the slicer puts its supports where it likes. Also told is how far the face hangs in the air then: outer walls on it under
which, in the layer before, nothing lies within a line's width.
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
from octoprint_facesculpt.slicing.face import CARES, Face, read_face
from octoprint_facesculpt.slicing.gcode_index import read_index
from octoprint_facesculpt.slicing.layer_picture import strokes

#: Lines are looked at in points this far apart; one lies on another within this distance, mm.
STEP, LINE = 0.4, 0.45


def in_the_air(gcode: Path, index_file: Path, face: Face, shift: np.ndarray) -> tuple[float, float]:
    """mm of outer wall on a face that lies on nothing, and the longest such stretch; ``shift`` (x, y) moves the mesh to where
    it is printed."""
    index = read_index(index_file, gcode)
    total = longest = run = 0.0
    before: dict[float, np.ndarray] = {}
    places = Face(face.points + np.array([*shift, 0.0]), face.reach_mm)
    for number, layer in enumerate(index.layers):
        lines = strokes(gcode, index, number)
        points, kinds = _points(lines)
        below = [there for height, there in before.items() if 0.02 < layer.z - height < 0.4]
        outer = points[kinds == 1]
        if len(outer) and below:
            outer = outer[places.covers(np.c_[outer, np.full(len(outer), layer.z)])]
            if len(outer):
                distance, _ = cKDTree(np.concatenate(below)).query(outer)
                for hanging in distance > LINE:
                    run = run + STEP if hanging else 0.0
                    total, longest = total + STEP * bool(hanging), max(longest, run)
                run = 0.0
        before[layer.z] = points if len(points) else np.zeros((1, 2)) - 1e6
        before = {height: there for height, there in before.items() if layer.z - height < 0.4}
    return total, longest


def _points(lines) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 2) along lines, and 1 for each on an outer wall, 0 elsewhere."""
    if not lines:
        return np.zeros((0, 2)), np.zeros(0)
    a, b = np.array([line.start for line in lines]), np.array([line.end for line in lines])
    kind = np.array([line.kind in ("outer", "bridge") for line in lines], int)
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
                        engine=engine, profile=given.profile, face=face, face_care=care, index=folder / "index.json"
                    )
                    result = slice_model(model, folder / "bust.gcode", request)
                    centre = np.array(request.bed.centre)
                    mesh = (sculpture.vertices, sculpture.triangles)
                    contact = measure_contact(folder / "bust.gcode", *mesh, (centre[0], centre[1]), read_face(face))
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
