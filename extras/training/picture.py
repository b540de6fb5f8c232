"""One training picture: a random person, camera, light and photographic ageing."""

from __future__ import annotations

from dataclasses import dataclass

import appearance
import cv2
import heads
import numpy as np
import render
from coloured import Coloured
from scipy.spatial.transform import Rotation

from octoprint_facesculpt.reconstruction.camera import Camera

#: Side of the square picture in pixels.
SIZE = 384
#: The shadow map: pixels a side, mm a pixel, and how much nearer than itself to the lamp something must be to shade a place.
SHADOW_SIZE, SHADOW_PITCH, SHADOW_BIAS = 160, 2.6, 6.0
#: Share of heads that are sculptures and scans without colour: shape is all there is to see.
CLAY = 0.1
#: Share of pictures with something in front of the head.
OCCLUDED = 0.1


@dataclass(frozen=True)
class Picture:
    """An RGB picture (SIZE, SIZE, 3) uint8 with the truth behind it."""

    image: np.ndarray
    coefficients: np.ndarray
    camera: Camera


def random_camera(rng: np.random.Generator, yaw: tuple[float, float] | None = None) -> Camera:
    """From a 0.35 m selfie to a tele lens, mostly frontal, up to a full profile, anywhere near the middle."""
    turn = rng.normal(scale=18) if rng.random() < 0.65 else rng.uniform(-85, 85)
    if yaw is not None:
        turn = rng.uniform(*yaw) * rng.choice([-1, 1])
    pitch, roll = rng.normal(scale=10), rng.normal(scale=8)
    rotation = Rotation.from_euler("yxz", [turn, pitch, roll], degrees=True)
    distance = np.exp(rng.uniform(np.log(350), np.log(3500)))
    scale = SIZE * rng.uniform(0.75, 1.15) / 340
    # The face stays in the picture, the shoulders need not.
    centre = SIZE / 2 + rng.normal(scale=0.04 * SIZE, size=2) + [0, -0.03 * SIZE]
    return Camera(rotation.as_matrix(), float(scale), float(1 / distance), centre)


def draw(
    rng: np.random.Generator,
    head: heads.PictureHead,
    items: appearance.Wardrobe,
    plain: bool = False,
    yaw: tuple[float, float] | None = None,
    person: tuple[np.ndarray, np.ndarray] | None = None,
    clay: float = CLAY,
) -> Picture:
    """Draw a random picture.

    Its ``yaw`` is in a range of degrees if one is given, its ``person`` has given coefficients (C,) and the vertices
    (V, 3) they make; ``plain`` gives an uncluttered, nearly frontal one (for the landmark map); ``clay`` is the share of heads
    of one colour.
    """
    if person is None:
        coefficients = heads.random_coefficients(rng, head.expression_names)
        if plain:
            coefficients[head.identity_count :] = 0
        person = coefficients, head.vertices(coefficients)
    coefficients, vertices = person
    camera = random_camera(rng, yaw)
    if plain:
        turn = Rotation.from_euler("yx", rng.normal(scale=8, size=2), degrees=True)
        camera = Camera(turn.as_matrix(), SIZE * 0.9 / 340, 1 / 2000, np.array([SIZE / 2, SIZE / 2]))
    colour, hair_colour = appearance.colours(rng, head, items)
    triangles = head.triangles
    of_clay = not plain and rng.random() < clay
    if of_clay:
        colour = np.tile(np.float32(rng.uniform(0.35, 0.85) * rng.uniform(0.9, 1.1, 3)), (len(colour), 1))
        triangles = _cut(rng, head)
    skin_count = len(vertices)
    points = vertices
    if not (plain or of_clay) and rng.random() < 0.65:
        hair_points, hair_triangles, hair_tint = appearance.worn_hair(rng, items, vertices, head.mean, hair_colour)
        triangles = np.concatenate([triangles, hair_triangles + len(points)]).astype(np.int32)
        points = np.concatenate([points, hair_points])
        colour = np.concatenate([colour, hair_tint])
    image = _render(rng, points, triangles, colour, camera, skin_count)
    if not plain:
        if not of_clay and rng.random() < 0.12:
            image = _glasses(rng, image, head, vertices, camera)
        if rng.random() < OCCLUDED:
            image = _occluder(rng, image)
        image = photograph(rng, image)
    return Picture((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), coefficients, camera)


def of_mesh(rng: np.random.Generator, mesh: Coloured, camera: Camera, occluded: float = 0.0) -> np.ndarray:
    """A random picture (SIZE, SIZE, 3) uint8 of any coloured mesh; a share of them with something in front of it."""
    points = mesh.vertices.astype(np.float32)
    image = _render(rng, points, mesh.triangles, mesh.colours, camera, len(points))
    if occluded and rng.random() < occluded:
        image = _occluder(rng, image)
    return (np.clip(photograph(rng, image), 0, 1) * 255 + 0.5).astype(np.uint8)


def _cut(rng, head: heads.PictureHead) -> np.ndarray:
    """Triangles of a head as scanners leave it: half of them without crown, neck or back."""
    if rng.random() < 0.5:
        return head.triangles
    _, y, z = head.mean[head.triangles].mean(1).T
    kept = (y < rng.uniform(80, 150)) & (y > rng.uniform(-190, -115)) & (z > rng.uniform(-90, 10))
    return np.ascontiguousarray(head.triangles[kept])


def _render(rng, points, triangles, colour, camera, skin_count) -> np.ndarray:
    index, weights, _ = render.rasterise(camera.project(points), triangles, SIZE, SIZE)
    rotation = camera.rotation.astype(np.float32)
    normals = render.vertex_normals(points, triangles)
    normals[skin_count:] *= np.sign(normals[skin_count:] @ rotation[2])[:, None]  # hair is lit from both sides
    normals += np.float32(rng.uniform(0, 0.06)) * rng.standard_normal(normals.shape, np.float32)
    places = points @ rotation.T
    up = rng.normal(size=3)
    sky = np.r_[rng.uniform(0.25, 0.7) * rng.uniform(0.9, 1.1, 3), rng.uniform(0, 0.5), up / np.linalg.norm(up)]
    lamps = []
    for number in range(rng.integers(1, 4)):
        direction = np.array([rng.uniform(-1, 1), rng.uniform(-0.3, 1.0), rng.uniform(0.15, 1.0)])
        direction /= np.linalg.norm(direction)
        power = rng.uniform(0.3, 1.0) if number == 0 else rng.uniform(0.05, 0.4)
        lamps.append(np.r_[direction, power, rng.uniform(0.88, 1.12, 3), rng.uniform(0, 0.25), rng.uniform(8, 40)])
    right = np.cross([0.0, 1.0, 0.0], lamps[0][:3])
    right /= np.linalg.norm(right)
    light = np.stack([right, np.cross(lamps[0][:3], right), lamps[0][:3], [0, SHADOW_PITCH, SHADOW_BIAS]]).astype(np.float32)
    light_depth = np.empty((0, 0), np.float32)
    if rng.random() < 0.6:
        light_depth = render.depth_map(places @ light[:3].T, triangles, SHADOW_SIZE, SHADOW_PITCH)
        light[3, 0] = SHADOW_SIZE
    picture = _background(rng, camera)
    normals = normals @ rotation.T
    sky, lit = sky.astype(np.float32), np.stack(lamps).astype(np.float32)
    render.shade(index, weights, triangles, colour, normals, places, sky, lit, light, light_depth, picture)
    return picture


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
    """A hand, a cup, a shoulder in front: a smooth blob of one colour with a little light on it."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 1 + 0.25 * np.sin(angles * rng.integers(1, 4) + rng.uniform(0, 6)) + 0.03 * rng.normal(size=24)
    outline = radius[:, None] * np.c_[np.cos(angles), np.sin(angles)] * rng.uniform(0.05, 0.18, 2) * SIZE
    turn = rng.uniform(0, 2 * np.pi)
    outline = outline @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] + rng.uniform(0.1, 0.9, 2) * SIZE
    mask = np.zeros((SIZE, SIZE), np.float32)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1.0, cv2.LINE_AA)
    colour = np.float32([0.75, 0.55, 0.45] if rng.random() < 0.5 else rng.uniform(0.05, 0.9, 3)) * np.float32(
        rng.uniform(0.3, 1.1)
    )
    light = cv2.resize(rng.uniform(0.6, 1.3, (4, 4)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return image + mask[..., None] * (colour * light[..., None] - image)


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What lens, film and age do to a picture ((H, W, 3) float32, 0..1, RGB); the file's own damage is the shard's JPEG."""
    image = image * np.float32(rng.uniform(0.75, 1.2)) + np.float32(rng.uniform(-0.08, 0.1))
    image = cv2.pow(np.clip(image, 0, 1), rng.uniform(0.7, 1.4))
    if rng.random() < 0.35:
        grey = image @ np.float32([0.3, 0.59, 0.11])
        image = np.repeat(grey[..., None], 3, 2)
        if rng.random() < 0.3:
            image *= rng.uniform([0.95, 0.8, 0.55], [1.05, 0.95, 0.8]).astype(np.float32)
    else:
        image *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.25:
        image = image * np.float32(rng.uniform(0.4, 0.8)) + np.float32(rng.uniform(0.05, 0.25))
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.3:
        small = int(SIZE * rng.uniform(0.25, 0.8))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        grain = rng.standard_normal(image.shape[:2], np.float32)
        if rng.random() < 0.5:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.8) * 2
        image += np.float32(rng.uniform(0, 0.05)) * grain[..., None]
    if rng.random() < 0.1:
        image = np.ascontiguousarray(image)
        for _ in range(rng.integers(1, 8)):
            ends = rng.integers(0, SIZE, 4).tolist()
            cv2.line(image, ends[:2], ends[2:], [float(rng.uniform(0, 1))] * 3, 1, cv2.LINE_AA)
    if rng.random() < 0.08:
        edge = int(rng.uniform(0.02, 0.2) * SIZE)
        rows = (slice(None, edge), slice(-edge, None))[rng.integers(2)]
        (image if rng.random() < 0.5 else image.transpose(1, 0, 2))[rows] = 0
    return image
