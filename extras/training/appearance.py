"""How a training head looks: skin, lips, brows, beard, eyes and hair as colours on its vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import render
from heads import EYE, MOUTH, SCALP, PictureHead
from makehuman import Hair
from skimage.measure import points_in_poly

HAIR_COLOURS = np.array(
    [[0.05, 0.04, 0.04], [0.13, 0.08, 0.05], [0.28, 0.17, 0.09], [0.5, 0.36, 0.2], [0.6, 0.6, 0.6], [0.85, 0.85, 0.83]]
)
IRIS_COLOURS = np.array([[0.15, 0.08, 0.04], [0.3, 0.18, 0.08], [0.25, 0.35, 0.45], [0.3, 0.35, 0.2]])


@dataclass(frozen=True)
class Wardrobe:
    """Everything colours are made of, on the vertices of the picture head (mean shape, model frame)."""

    skins: np.ndarray  #: (N, V, 3) colours, 0..1
    hair: list[Hair]
    lips: np.ndarray  #: (V,) 0..1
    brow_distance: np.ndarray  #: (V,) mm to the brow line
    beard: np.ndarray  #: (V,) 0..1 where a beard grows
    iris_distance: np.ndarray  #: (V,) mm from the pupil's middle; inf off the eyes


def wardrobe(head: PictureHead, landmarks68: np.ndarray, skins: dict[str, np.ndarray], hair: list[Hair]) -> Wardrobe:
    """Find lips, brows, beard and irises on ``head`` by the 68 landmarks ((68,) vertex numbers)."""
    mean, points = head.mean, head.mean[landmarks68]
    front = mean[:, 2] > 40
    lips = (points_in_poly(mean[:, :2], points[48:60, :2]) & front & (head.part < MOUTH)).astype(np.float32)
    brows = np.concatenate([np.linspace(points[i], points[i + 1], 8) for i in (*range(17, 21), *range(22, 26))])
    brow_distance = np.min(np.linalg.norm(mean[:, None] - brows[None], axis=2), 1)
    mouth, nose, chin = points[48:60].mean(0), points[33], points[8]
    below_nose = np.clip((nose[1] - 2 - mean[:, 1]) / 4, 0, 1)
    above_throat = np.clip((mean[:, 1] - chin[1] + 22) / 12, 0, 1)
    side = np.abs(mean[:, 0])
    cheek_line = np.clip((nose[1] - 8 + np.clip(side - 38, 0, None) * 1.2 - mean[:, 1]) / 6, 0, 1)
    upper_lip = np.clip(1 - np.abs(mean[:, 1] - (mouth[1] + nose[1]) / 2) / 9, 0, 1) * (side < 28)
    beard = np.maximum(cheek_line * (mean[:, 2] > -5), upper_lip) * below_nose * above_throat * (1 - lips)
    iris = np.full(len(mean), np.inf)
    for sign in (-1, 1):
        eye = np.flatnonzero((head.part == EYE) & (np.sign(mean[:, 0]) == sign))
        pole = mean[eye[mean[eye, 2].argmax()]]
        iris[eye] = np.linalg.norm(mean[eye, :2] - pole[:2], axis=1)
    return Wardrobe(np.stack(list(skins.values())), hair, lips, brow_distance, beard, iris)


def smooth_noise(rng: np.random.Generator, points: np.ndarray, wavelength: float, waves: int = 6) -> np.ndarray:
    """A random smooth field (V,), about -1..1, of the given wavelength in mm."""
    directions = rng.normal(size=(waves, 3))
    directions *= 2 * np.pi / (wavelength * np.linalg.norm(directions, axis=1, keepdims=True))
    phases = rng.uniform(0, 2 * np.pi, waves)
    return render.waves(points, directions.astype(np.float32), phases.astype(np.float32)) / np.float32(2 * np.sqrt(waves / 2))


def colours(rng: np.random.Generator, head: PictureHead, items: Wardrobe) -> tuple[np.ndarray, np.ndarray]:
    """Colours (V, 3) of a random person, and the colour of their hair."""
    mean = head.mean
    a, b = rng.choice(len(items.skins), 2)
    mix = rng.uniform(0, 0.5)
    skin = (1 - mix) * items.skins[a] + mix * items.skins[b]
    skin = (skin * (rng.uniform(0.7, 1.25) * rng.uniform(0.92, 1.08, 3))).astype(np.float32)
    for wavelength, strength in ((120, 0.08), (40, 0.06), (12, 0.05), (6, 0.04)):
        skin *= 1 + np.float32(strength * rng.uniform(0, 1.5)) * smooth_noise(rng, mean, wavelength)[:, None]
    hair = HAIR_COLOURS[rng.integers(len(HAIR_COLOURS))] * rng.uniform(0.7, 1.3)

    def blend(amount: np.ndarray, colour: np.ndarray) -> None:
        skin[:] = skin + amount[:, None] * (colour - skin)

    lip_tone = skin * rng.uniform([0.85, 0.5, 0.5], [1.1, 0.85, 0.85])
    blend(items.lips * rng.uniform(0, 1), lip_tone)
    brow = np.clip((rng.uniform(3, 6) - items.brow_distance) / 2.5, 0, 1) * rng.uniform(0.1, 1.0)
    blend(brow * (1 + 0.3 * smooth_noise(rng, mean, 5)).clip(0, 1), hair)
    if rng.random() < 0.35:
        patchy = (0.7 + smooth_noise(rng, mean, 30) * rng.uniform(0, 0.6)).clip(0, 1)
        blend(items.beard * patchy * rng.uniform(0.15, 0.95), hair)
    scalp = np.clip((head.part == SCALP) * (mean[:, 1] > 40) + (mean[:, 1] > 95 + 15 * rng.random()), 0, 1)
    if rng.random() < 0.6:
        blend(scalp * rng.uniform(0.3, 1.0), hair)
    eye = head.part == EYE
    skin[eye] = rng.uniform(0.75, 0.95)
    skin[items.iris_distance < 6.0] = IRIS_COLOURS[rng.integers(len(IRIS_COLOURS))] * rng.uniform(0.6, 1.4)
    skin[items.iris_distance < rng.uniform(1.8, 3.2)] = 0.02
    skin[head.part == MOUTH] *= 0.35
    return np.clip(skin, 0.01, 1).astype(np.float32), hair.astype(np.float32)


def worn_hair(
    rng: np.random.Generator, items: Wardrobe, vertices: np.ndarray, mean: np.ndarray, colour: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random hairstyle on a head: vertices (H, 3), triangles (T, 3), colours (H, 3)."""
    style = items.hair[rng.integers(len(items.hair))]
    moved = (vertices[style.neighbours] - mean[style.neighbours]).mean(1)
    points = style.vertices + moved
    strands = 1 + 0.35 * smooth_noise(rng, style.vertices * np.float32([1, 0.15, 1]), 5) + 0.2 * smooth_noise(rng, points, 40)
    tint = np.clip(colour * strands[:, None], 0.01, 1)
    return points.astype(np.float32), style.triangles, tint.astype(np.float32)
