"""Accuracy of the reconstruction on held-out heads: average head, first guess, fit and volume, by pose.

    python extras/benchmark/accuracy.py --materials extras/training/runs/materials.pkl --heads 40

Pictures are drawn by the training generator from people, lights and cameras of seeds training never uses, and go through
the product's own portrait and reconstruction rooms. Errors in mm, after similarity alignment of the face region:

* ``vertex``: mean distance of corresponding vertices of the face (of the whole head for ``head``);
* ``surface``: mean distance of the true face's points to the published surface, closely aligned (this measure is
  smaller by nature; compare it only with its own column for the average head).
"""

from __future__ import annotations

import argparse
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))

#: Yaw in degrees, either way.
POSES = {"frontal (0-15)": (0.0, 15.0), "half turned (30-40)": (30.0, 40.0), "nearly profile (55-65)": (55.0, 65.0)}
FIRST_SEED = 990_000


def aligned(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``points`` (N, 3) moved by the similarity that brings them closest to ``target`` (N, 3)."""
    from trimesh.registration import procrustes

    return procrustes(points, target, reflection=False)[1]


def vertex_error(points: np.ndarray, target: np.ndarray) -> float:
    """Mean distance of corresponding points after similarity alignment."""
    return float(np.linalg.norm(aligned(points, target) - target, axis=1).mean())


def surface_error(vertices: np.ndarray, triangles: np.ndarray, start: np.ndarray, target: np.ndarray) -> float:
    """Mean distance of ``target`` to a surface after iterated alignment, ``start`` being near ``target`` on the surface."""
    import trimesh
    from scipy.spatial import cKDTree

    tree, matched = cKDTree(vertices), start
    for _ in range(12):
        matrix, moved, _ = trimesh.registration.procrustes(target, matched, reflection=False)
        matched = vertices[tree.query(moved)[1]]
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    _, distance, _ = trimesh.proximity.closest_point(mesh, moved[::6])
    # Back to the true head's millimetres.
    return float(distance.mean() / np.cbrt(np.linalg.det(matrix[:3, :3])))


@cache
def _materials(path: Path):
    return pickle.loads(path.read_bytes())


def measure(path: Path, weights: Path | None, yaw: tuple[float, float], seed: int) -> dict[str, float] | None:
    """Errors on the picture of ``seed``, or None where no face is found in it."""
    import cv2
    import picture
    import torch
    from generate import _template

    from octoprint_facesculpt.portrait.errors import PortraitError
    from octoprint_facesculpt.portrait.portrait import Portrait
    from octoprint_facesculpt.portrait.reader import find_faces
    from octoprint_facesculpt.reconstruction import reconstruct
    from octoprint_facesculpt.reconstruction import weights as stored

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    materials = _materials(path)
    drawn = picture.draw(np.random.default_rng(seed), materials.head, materials.wardrobe, yaw=yaw)
    try:
        found = find_faces(drawn.image, None)
    except PortraitError:
        return None
    if not found:
        return None
    face = found[0].result
    portrait = Portrait(drawn.image, {}, (), 0, face.landmarks, face.activations, face.presence, 1.0)
    learned = stored.load(weights or stored.PACKAGED)
    head = reconstruct(portrait, weights=weights)
    model = learned.head
    truth = materials.head.vertices(drawn.coefficients)[_template(materials)]
    first, fitted, final = (head.details[f"{stage}_vertices"] for stage in ("first", "fitted", "final"))
    inner = model.face
    # Ears and skull count, neck and shoulders do not.
    skull = (model.mean[:, 1] > model.mean[inner, 1].min()) | inner
    average = model.mean
    return {
        "average_vertex": vertex_error(average[inner], truth[inner]),
        "first_vertex": vertex_error(first[inner], truth[inner]),
        "fitted_vertex": vertex_error(fitted[inner], truth[inner]),
        "final_vertex": vertex_error(final[inner], truth[inner]),
        "average_head": vertex_error(average[skull], truth[skull]),
        "final_head": vertex_error(final[skull], truth[skull]),
        "average_surface": surface_error(average, model.triangles, average[inner], truth[inner]),
        "final_surface": surface_error(head.vertices, head.triangles, final[inner], truth[inner]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--materials", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="other weights than the packaged ones")
    parser.add_argument("--heads", type=int, default=40, help="pictures a pose")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.processes) as pool:
        for number, (name, yaw) in enumerate(POSES.items()):
            seeds = [FIRST_SEED + 10_000 * number + i for i in range(arguments.heads)]
            results = list(
                pool.map(measure, *zip(*((arguments.materials, arguments.weights, yaw, s) for s in seeds), strict=True))
            )
            found = [r for r in results if r is not None]
            print(f"{name}: {len(found)} of {len(results)} faces found")
            for key in found[0] if found else ():
                values = np.array([r[key] for r in found])
                print(f"  {key:18} mean {values.mean():.3f}  median {np.median(values):.3f}  worst {values.max():.3f}")
            better = np.mean([r["final_vertex"] < r["average_vertex"] for r in found])
            print(f"  better than the average head on {100 * better:.0f} %", flush=True)


if __name__ == "__main__":
    main()
