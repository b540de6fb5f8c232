"""One training picture: a random person, camera, light and photographic ageing."""

from __future__ import annotations

from dataclasses import dataclass

import appearance
import cv2
import heads
import numpy as np
import render
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera

#: Side of the square picture in pixels.
SIZE = 320


@dataclass(frozen=True)
class Picture:
    """An RGB picture (SIZE, SIZE, 3) uint8 with the truth behind it."""

    image: np.ndarray
    coefficients: np.ndarray
    camera: Camera


def random_camera(rng: np.random.Generator, yaw: tuple[float, float] | None = None) -> Camera:
    """From a 0.35 m selfie to a tele lens, mostly frontal, up to a full profile, anywhere near the middle."""
    turn = rng.normal(scale=18) if rng.random() < 0.65 else rng.uniform(-80, 80)
    if yaw is not None:
        turn = rng.uniform(*yaw) * rng.choice([-1, 1])
    pitch, roll = rng.normal(scale=10), rng.normal(scale=8)
    rotation = Rotation.from_euler("yxz", [turn, pitch, roll], degrees=True)
    distance = np.exp(rng.uniform(np.log(350), np.log(3500)))
    scale = SIZE * rng.uniform(0.6, 1.0) / 340
    centre = SIZE / 2 + rng.normal(scale=0.04 * SIZE, size=2) + [0, -0.03 * SIZE]
    return Camera(rotation.as_matrix(), float(scale), float(1 / distance), centre)


def draw(
    rng: np.random.Generator,
    head: heads.PictureHead,
    items: appearance.Wardrobe,
    plain: bool = False,
    yaw: tuple[float, float] | None = None,
) -> Picture:
    """Draw a random picture, its ``yaw`` in a range of degrees if one is given; ``plain`` gives an uncluttered, nearly
    frontal one (for the landmark map)."""
    coefficients = heads.random_coefficients(rng, head.expression_names)
    camera = random_camera(rng, yaw)
    if plain:
        coefficients[head.identity_count :] = 0
        turn = Rotation.from_euler("yx", rng.normal(scale=8, size=2), degrees=True)
        camera = Camera(turn.as_matrix(), SIZE * 0.9 / 340, 1 / 2000, np.array([SIZE / 2, SIZE / 2]))
    vertices = head.vertices(coefficients)
    colour, hair_colour = appearance.colours(rng, head, items)
    triangles = head.triangles
    skin_count = len(vertices)
    points = vertices
    if not plain and rng.random() < 0.65:
        hair_points, hair_triangles, hair_tint = appearance.worn_hair(rng, items, vertices, head.mean, hair_colour)
        triangles = np.concatenate([triangles, hair_triangles + len(points)]).astype(np.int32)
        points = np.concatenate([points, hair_points])
        colour = np.concatenate([colour, hair_tint])
    light = _render(rng, points, triangles, colour, camera, skin_count)
    image = light
    if not plain:
        if rng.random() < 0.12:
            image = _glasses(rng, image, head, vertices, camera)
        if rng.random() < 0.08:
            image = _occluder(rng, image)
        image = photograph(rng, image)
    return Picture((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), coefficients, camera)


def _render(rng, points, triangles, colour, camera, skin_count) -> np.ndarray:
    projected = camera.project(points)
    index, weights, _ = render.rasterise(projected, triangles, SIZE, SIZE)
    normals = render.vertex_normals(points, triangles)
    normals[skin_count:] *= np.sign(normals[skin_count:] @ camera.rotation[2])[:, None]  # hair is lit from both sides
    normals = (normals + rng.uniform(0, 0.06) * rng.normal(size=normals.shape)) @ camera.rotation.T
    rotated = points @ camera.rotation.T
    attributes = np.concatenate([colour, normals, rotated], 1).astype(np.float32)
    pixels = render.interpolate(index, weights, triangles, attributes)
    albedo, normal, place = pixels[..., :3], pixels[..., 3:6], pixels[..., 6:]
    normal /= np.linalg.norm(normal, axis=2, keepdims=True) + 1e-6
    covered = index >= 0
    ambient = rng.uniform(0.25, 0.7)
    up = rng.normal(size=3)
    up /= np.linalg.norm(up)
    shade = ambient * (1 + rng.uniform(0, 0.5) * (normal @ up))[..., None] * rng.uniform(0.9, 1.1, 3)
    for lamp in range(rng.integers(1, 4)):
        direction = np.array([rng.uniform(-1, 1), rng.uniform(-0.3, 1.0), rng.uniform(0.15, 1.0)])
        direction /= np.linalg.norm(direction)
        lit = np.clip(normal @ direction, 0, None)
        if lamp == 0 and rng.random() < 0.6:
            lit = lit * _shadow(rotated, triangles, place, covered, direction)
        power = rng.uniform(0.3, 1.0) if lamp == 0 else rng.uniform(0.05, 0.4)
        half = direction + np.array([0, 0, 1])
        half /= np.linalg.norm(half)
        gloss = rng.uniform(0, 0.25) * np.clip(normal @ half, 0, 1) ** rng.uniform(8, 40)
        tint = rng.uniform(0.88, 1.12, 3)
        shade = shade + power * (lit[..., None] * tint)
        albedo = albedo + (power * gloss * (lit > 0))[..., None] * 0.5
    picture = np.clip(albedo * shade, 0, 1) ** (1 / 1.3)
    return np.where(covered[..., None], picture, _background(rng, camera)).astype(np.float32)


def _shadow(rotated, triangles, place, covered, direction) -> np.ndarray:
    right = np.cross([0.0, 1.0, 0.0], direction)
    right /= np.linalg.norm(right)
    frame = np.stack([right, np.cross(direction, right), direction])
    size, pitch = 160, 2.6

    def to_map(points):
        moved = points @ frame.T
        flat = np.stack([size / 2 + moved[..., 0] / pitch, size / 2 - moved[..., 1] / pitch, moved[..., 2]], -1)
        return flat.astype(np.float32)

    _, _, depth = render.rasterise(to_map(rotated), triangles, size, size)
    return render.shadow(covered, to_map(place), depth, 6.0)


def _background(rng, camera) -> np.ndarray:
    coarse = rng.uniform(0, 1, (rng.integers(2, 9), rng.integers(2, 9), 3))
    colourful = rng.uniform(0, 0.6)
    coarse = colourful * coarse + (1 - colourful) * coarse.mean(2, keepdims=True)
    coarse = rng.uniform(0, 1) + (coarse - 0.5) * rng.uniform(0, 1)
    image = np.clip(cv2.resize(coarse.astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)
    if rng.random() < 0.8:  # a dressed body behind the bare shoulders
        chest = np.array([0.0, -330.0, -60.0]) + rng.normal(scale=15, size=3)
        middle = tuple(int(x) for x in camera.project(chest[None])[0, :2])
        axes = tuple(int(x) for x in camera.scale * rng.uniform([180, 120], [280, 190]))
        cv2.ellipse(image, middle, axes, 0, 0, 360, rng.uniform(0, 0.9, 3).tolist(), -1, cv2.LINE_AA)
    return image


def _glasses(rng, image, head, vertices, camera) -> np.ndarray:
    image = np.ascontiguousarray(image)
    eyes = head.part == heads.EYE
    colour = rng.uniform(0, 0.35, 3) if rng.random() < 0.7 else rng.uniform(0.3, 0.8, 3)
    turn = np.linspace(0, 2 * np.pi, 40)
    width, height, square = rng.uniform(20, 28), rng.uniform(14, 23), rng.uniform(0.6, 1.0)
    thickness = max(1, round(camera.scale * rng.uniform(1.2, 3.5)))
    rims = []
    for sign in (-1, 1):
        eye = vertices[eyes & (np.sign(head.mean[:, 0]) == sign)]
        middle = eye.mean(0) + np.array([0, -2, 0])
        middle[2] = eye[:, 2].max() + 10
        c, s = np.cos(turn), np.sin(turn)
        ring = np.stack([np.sign(c) * np.abs(c) ** square * width, np.sign(s) * np.abs(s) ** square * height], 1)
        rims.append(middle + np.c_[ring, -0.004 * ring[:, 0] ** 2])
    lens = rng.uniform(0, 0.25) if rng.random() < 0.85 else rng.uniform(0.5, 0.9)
    for rim in rims:
        flat = camera.project(rim)[:, :2]
        dark = image.copy()
        cv2.fillPoly(dark, [np.round(flat).astype(np.int32)], colour.tolist())
        image = (1 - lens) * image + lens * dark
        image = np.ascontiguousarray(image, np.float32)
        cv2.polylines(image, [np.round(flat * 8).astype(np.int32)], True, colour.tolist(), thickness, cv2.LINE_AA, 3)
    bridge = camera.project(np.stack([rims[0][0], rims[1][20]]))[:, :2]
    temples = [bridge]
    for rim, sign in zip(rims, (-1, 1), strict=True):
        hinge = rim[20 if sign < 0 else 0]
        outward = (camera.rotation @ [sign, 0, 0])[2]
        if outward > -0.25:
            temples.append(camera.project(np.stack([hinge, hinge + np.array([sign * 14, 3, -85])]))[:, :2])
    for line in temples:
        cv2.polylines(image, [np.round(line * 8).astype(np.int32)], False, colour.tolist(), thickness, cv2.LINE_AA, 3)
    return image


def _occluder(rng, image) -> np.ndarray:
    image = np.ascontiguousarray(image)
    colour = rng.uniform(0.05, 0.9, 3).tolist()
    centre = tuple(int(x) for x in rng.uniform(0.1, 0.9, 2) * SIZE)
    axes = tuple(int(x) for x in rng.uniform(0.05, 0.18, 2) * SIZE)
    cv2.ellipse(image, centre, axes, rng.uniform(0, 360), 0, 360, colour, -1, cv2.LINE_AA)
    return image


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What lens, film, age and file do to a picture ((H, W, 3) float32, 0..1, RGB)."""
    image = image * rng.uniform(0.75, 1.2) + rng.uniform(-0.08, 0.1)
    image = np.clip(image, 0, 1) ** rng.uniform(0.7, 1.4)
    if rng.random() < 0.35:
        grey = image @ np.array([0.3, 0.59, 0.11], np.float32)
        image = np.repeat(grey[..., None], 3, 2)
        if rng.random() < 0.3:
            image = image * rng.uniform([0.95, 0.8, 0.55], [1.05, 0.95, 0.8])
    else:
        image = image * rng.uniform(0.85, 1.15, 3)
    if rng.random() < 0.25:
        image = image * rng.uniform(0.4, 0.8) + rng.uniform(0.05, 0.25)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.3:
        small = int(SIZE * rng.uniform(0.25, 0.8))
        image = cv2.resize(image.astype(np.float32), (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        grain = rng.normal(size=image.shape[:2]).astype(np.float32)
        if rng.random() < 0.5:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.8) * 2
        image = image + rng.uniform(0, 0.05) * grain[..., None]
    if rng.random() < 0.1:
        image = np.ascontiguousarray(image, np.float32)
        for _ in range(rng.integers(1, 8)):
            ends = rng.integers(0, SIZE, 4).tolist()
            cv2.line(image, ends[:2], ends[2:], [float(rng.uniform(0, 1))] * 3, 1, cv2.LINE_AA)
    image = np.clip(image, 0, 1)
    if rng.random() < 0.5:
        quality = int(rng.integers(25, 90))
        _, coded = cv2.imencode(".jpg", (image[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255
    if rng.random() < 0.08:
        edge = int(rng.uniform(0.02, 0.2) * SIZE)
        image = image.copy()
        side = rng.integers(4)
        if side == 0:
            image[:edge] = 0
        elif side == 1:
            image[-edge:] = 0
        elif side == 2:
            image[:, :edge] = 0
        else:
            image[:, -edge:] = 0
    return image
