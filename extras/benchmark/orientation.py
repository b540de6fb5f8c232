"""Does the fast cost of a pose agree with really sliced prints? Rank correlations, and the chosen pose against upright.

    python extras/benchmark/orientation.py HEAD_OR_PHOTO... [--engine prusaslicer] [--height-mm 80] [--profile bust_028]

For every head all poses are sliced; the time on the printer, the filament, and where the G-code puts support against the face
are compared with what the geometry said. The sliced cost is the same sum, with time and face taken from the sliced print.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from octoprint_facesculpt.portrait import read_portrait
from octoprint_facesculpt.reconstruction import reconstruct
from octoprint_facesculpt.reconstruction.head import Head
from octoprint_facesculpt.sculpture import SculptureSettings
from octoprint_facesculpt.sculpture.costs import FACE_REACH, Costs
from octoprint_facesculpt.sculpture.export import export_mesh
from octoprint_facesculpt.sculpture.orientation import Candidate, candidates, cost
from octoprint_facesculpt.slicing import Bed, SliceRequest, slice_model

INTERFACE = {"Support material interface", "SUPPORT-INTERFACE"}
LINE_WIDTH = 0.4
#: Geometry's figure -> the sliced print's that it should rank alike.
PAIRS = {
    "seconds": "sliced_seconds", "filament_g": "sliced_g", "support_mm3": "sliced_support_mm",
    "face_overhang_mm2": "face_contact_mm2", "cost": "sliced_cost",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", type=Path)
    parser.add_argument("--engine", default="prusaslicer")
    parser.add_argument("--profile", default="bust_028")
    parser.add_argument("--height-mm", type=float, default=80.0)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    request = SliceRequest(engine=options.engine, profile=options.profile)
    people = {path.stem: compare(path, request, options.height_mm) for path in options.sources}
    for name, rows in people.items():
        chosen, upright = rows[0], next(row for row in rows if row["pose"] == "upright")
        for row in (chosen, upright):
            hours, grams, contact = row["sliced_seconds"] / 3600, row["sliced_g"], row["face_contact_mm2"]
            print(f"{name}: {row['pose']:<8} {hours:.2f} h, {grams:.1f} g, {contact:.0f} mm2 of support on the face")
    tilts = {name: [row for row in rows if not row["lean_deg"]] for name, rows in people.items()}
    agreement = {}
    for what, chosen_rows in (("all poses", people), ("tilts of the head", tilts)):
        for said, found in PAIRS.items():
            agreement[f"{what}: {said} ~ {found}"] = correlation(chosen_rows, said, found)
    for pair, value in agreement.items():
        print(f"rank correlation, {pair}: {value:.2f}")
    if options.report is not None:
        options.report.write_text(json.dumps({"people": people, "rank_correlation": agreement}, indent=1))


def compare(source: Path, request: SliceRequest, height_mm: float) -> list[dict[str, Any]]:
    """All poses of a head, best first by geometry: its figures and those of the sliced print."""
    head = Head.load(source) if source.suffix == ".npz" else reconstruct(read_portrait(source, face=0))
    rows: list[dict[str, Any]] = []
    sliced_costs: list[Costs] = []
    for candidate in candidates(head, SculptureSettings(height_mm=height_mm)):
        with tempfile.TemporaryDirectory() as folder:
            model = export_mesh(candidate.sculpture.vertices, candidate.sculpture.triangles, Path(folder, "bust.stl"))
            sliced = slice_model(model, Path(folder, "bust.gcode"), request)
            contact = face_contact(sliced.gcode, candidate, request.bed)
        rows.append({
            **candidate.to_json(),
            "sliced_seconds": sliced.estimated_seconds,
            "sliced_g": sliced.filament_g,
            "sliced_support_mm": sliced.filament_mm * sliced.support_share,
            "face_contact_mm2": contact,
        })  # fmt: skip
        sliced_costs.append(replace(candidate.costs, seconds=sliced.estimated_seconds, face_overhang_mm2=contact))
        print(json.dumps(rows[-1]), flush=True)
    fastest = min(costs.seconds for costs in sliced_costs)
    # Supports touch the face in several layers, one over the other: they count as often as there are, on the whole.
    layers = sum(row["face_contact_mm2"] for row in rows) / sum(row["face_overhang_mm2"] for row in rows)
    for row, costs in zip(rows, sliced_costs, strict=True):
        once = replace(costs, face_overhang_mm2=costs.face_overhang_mm2 / layers)
        row["sliced_cost"] = cost(height_mm, once, fastest)
    return rows


def correlation(people: dict[str, list[dict[str, Any]]], said: str, found: str) -> float:
    """Mean over the heads of Spearman's rank correlation among a head's leans."""
    return float(np.mean([spearmanr([r[said] for r in rows], [r[found] for r in rows]).statistic for rows in people.values()]))


def face_contact(gcode: Path, candidate: Candidate, bed: Bed) -> float:
    """mm^2 of support interface that a print lays down against the face."""
    x = y = z = 0.0
    feature, middles, areas = "", [], []
    with gcode.open() as lines:
        for line in lines:
            if line.startswith(";TYPE:"):
                feature = line[6:].strip()
            elif line.startswith(("G0 ", "G1 ")):
                words = {word[0]: float(word[1:]) for word in re.findall(r"[XYZE]-?[\d.]+", line.partition(";")[0])}
                before = (x, y)
                x, y, z = words.get("X", x), words.get("Y", y), words.get("Z", z)
                if feature in INTERFACE and "E" in words and before != (x, y):
                    middles.append(((x + before[0]) / 2 - bed.centre[0], (y + before[1]) / 2 - bed.centre[1], z))
                    areas.append(LINE_WIDTH * np.hypot(x - before[0], y - before[1]))
    if not middles:
        return 0.0
    landmarks = candidate.sculpture.landmarks
    reach = FACE_REACH * np.linalg.norm(landmarks[10] - landmarks[152])
    near = cKDTree(landmarks).query(middles, distance_upper_bound=reach)[0] < np.inf
    return float(np.asarray(areas)[near].sum())


if __name__ == "__main__":
    main()
