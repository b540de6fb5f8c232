"""A closer look at the face: where the points of a guess really are, read at about a pixel a millimetre.

The correspondence network sees a region around the face, the volumetric one the whole head; a lid or the corner of a mouth is a
pixel there. With a good guess the face can be brought upright and to its own size, so that everybody's eyes lie in the same
place. The network has the layers of dlib's recognition network (:mod:`recognition`), which know faces of that size, and a way
up again from their small maps to fine ones (Ronneberger et al., "U-Net", MICCAI 2015), which are read where the guess's points
lie: each point has a linear map of its own from there to how far it is off, and how sure that is (after Wood et al., "3D Face
Reconstruction with Dense Landmarks", ECCV 2022). A linear map makes of that, and of the guess, a better one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .alignment import HeadCrop, after
from .camera import Camera
from .descent import Points, settle
from .fitting import Guess
from .head_model import HeadModel
from .recognition import RecognitionNet
from .resampling import resample

#: Side of the network's picture in pixels, and their number in a millimetre of the head.
SIDE, PIXELS_PER_MM = 192, 0.95
#: Blocks of the recognition network that are passed, and those whose maps the way up goes through: their widths; the distance
#: of two of their places and the first place, in pixels of the picture.
PASSED = 13
LEVELS = {2: 32, 6: 64, 9: 128, 12: 256}
#: Widths on the way up, finest first, and of what is read of the finest map and of the stem's.
WIDTHS, READ, READ_STEM = (64, 96, 128), 64, 24
#: Side of the smallest map.
SMALLEST = 5
#: Where the maps that are read have their places: every so many pixels, from which one on.
STEP, FIRST, STEM_STEP, STEM_FIRST = 4, 5, 2, 3
#: Numbers the network is told of the guess's camera.
POSE = 8
#: The points that are looked at first are MediaPipe's landmarks.
LANDMARKS = 478
#: Logarithms of Laplace scales (of pixels) are kept in this range.
LOG_SCALES = (-2.5, 4.0)
#: A coefficient counts so much beside a displacement in its scale.
HEAD_UNIT = 3.0


def _narrow(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """Two convolutions beside an identity: (B, W, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


class CloseupNet(nn.Module):
    """Picture (B, 3, SIDE, SIDE), 0..1, the guess's ``pose`` (B, POSE) and ``places`` of its points ((B, P, 2) px) -> how far
    these are off ((B, P, 2) px), the logarithm of the Laplace scale of that (B, P), and the head (B, ``coefficients``) it would
    be by itself."""

    def __init__(self, points: int, coefficients: int) -> None:
        super().__init__()
        self.trunk = RecognitionNet()
        del self.trunk.blocks[PASSED:]
        widths = list(LEVELS.values())
        self.pose = nn.Linear(POSE, widths[-1])
        above = (*WIDTHS[1:], widths[-1])
        self.up = nn.ModuleList(_narrow(*pair) for pair in zip(above, WIDTHS, strict=True))
        self.skip = nn.ModuleList(_narrow(*pair) for pair in zip(widths[:-1], WIDTHS, strict=True))
        self.mix = nn.ModuleList(Residual(width) for width in WIDTHS)
        self.fine = _narrow(WIDTHS[0], READ)
        self.stem = _narrow(widths[0], READ_STEM)
        self.head = nn.Linear(widths[-1] * SMALLEST**2, coefficients)
        self.weight = nn.Parameter(torch.zeros(points, READ + READ_STEM, 3))
        self.bias = nn.Parameter(torch.zeros(points, 3))

    def maps(self, picture: Tensor, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The finest map on the way up (B, READ, 46, 46), the stem's (B, READ_STEM, 93, 93), the smallest one (B, W, S, S)."""
        stem = self.trunk.first(picture)
        x, levels = functional.max_pool2d(stem, 3, 2), []
        for number, block in enumerate(self.trunk.blocks):
            x = block(x)
            if number in LEVELS:
                levels.append(x)
        smallest = x = x + self.pose(pose)[:, :, None, None]
        ways = zip(levels[:-1], self.up, self.skip, self.mix, strict=True)
        for level, up, skip, mix in reversed(list(ways)):
            # The trunk's convolutions lose their maps' edges.
            padded = functional.pad(up(x), (1, 1, 1, 1), mode="replicate")
            wide = functional.interpolate(padded, scale_factor=2, mode="bilinear", align_corners=False)
            side = level.shape[-1]
            start = (wide.shape[-1] - side) // 2
            x = mix(functional.relu(wide[:, :, start : start + side, start : start + side] + skip(level)))
        return functional.relu(self.fine(x)), functional.relu(self.stem(stem)), smallest

    def forward(self, picture: Tensor, pose: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fine, stem, smallest = self.maps(picture, pose)
        read = torch.cat([_at(fine, places, STEP, FIRST), _at(stem, places, STEM_STEP, STEM_FIRST)], 1)
        said = torch.einsum("bcp,pco->bpo", read, self.weight) + self.bias
        return said[..., :2], said[..., 2].clamp(*LOG_SCALES), self.head(smallest.flatten(1))


def _at(read: Tensor, places: Tensor, step: int, first: int) -> Tensor:
    """A map (B, C, S, S) whose places are every ``step`` pixels from ``first`` on, at ``places`` (B, P, 2): (B, C, P)."""
    grid = ((places - 0.5 - first) / step + 0.5) * (2 / read.shape[-1]) - 1
    return functional.grid_sample(read.float(), grid[:, :, None], padding_mode="border", align_corners=False)[..., 0]


@dataclass(frozen=True)
class Window:
    """The face brought upright and to its size: ``matrix`` (2, 3) from picture to window pixels, and the guess's ``camera``
    there."""

    matrix: np.ndarray
    camera: Camera

    def of(self, image: np.ndarray) -> np.ndarray:
        """That of ``image`` ((H, W, 3) uint8), (SIDE, SIDE, 3) uint8."""
        return resample(image, self.matrix, SIDE)

    @property
    def pose(self) -> np.ndarray:
        """What the network is told of the camera, (POSE,) float32."""
        turned = self.camera.rotation
        zoom = np.log(np.hypot(*self.matrix[:, 0]))
        return np.r_[turned[0], turned[2], 1000 * self.camera.k - 1, zoom].astype(np.float32)


def window_of(camera: Camera, places: np.ndarray, jitter: np.ndarray | None = None) -> Window:
    """The window around ``places`` ((N, 2) picture pixels) of a face seen by ``camera``; while the network learns, it has a
    ``jitter`` (4,): logarithm of the size, roll (rad), shift (px)."""
    size, roll, *shift = np.zeros(4) if jitter is None else jitter
    up = camera.rotation[:, 1]
    roll += np.arctan2(up[0], up[1])
    zoom = PIXELS_PER_MM / camera.scale * np.exp(size)
    turn = zoom * np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    matrix = np.c_[turn, SIDE / 2 + np.array(shift) - turn @ places.mean(0)]
    return Window(matrix, camera.through(matrix))


def features(moved: np.ndarray, log_scale: np.ndarray, said: np.ndarray, head: np.ndarray) -> np.ndarray:
    """All that is known then, (B, F): displacements (B, P, 2) in their scales (B, P), the head that is ``said`` (B, C), and the
    guessed ``head`` (B, C + 1)."""
    scaled = moved * np.exp(-log_scale)[..., None]
    return np.concatenate([scaled.reshape(len(scaled), -1), HEAD_UNIT * said, HEAD_UNIT * head], 1)


@dataclass(frozen=True)
class Answer:
    """How a guess is wrong: ``(features - mean) @ spread + offset``, with ``spread`` (F, C + 1) and ``offset`` (C + 1,), is a
    change of its coefficients and of 1000 k. ``precision`` (C + 1, C + 1) is that of the errors which are left."""

    mean: np.ndarray
    spread: np.ndarray
    offset: np.ndarray
    precision: np.ndarray

    def change(self, known: np.ndarray) -> np.ndarray:
        """The changes (B, C + 1) for features (B, F)."""
        return (known - self.mean) @ self.spread + self.offset


@dataclass(frozen=True)
class Closeup:
    """Everything learned about it: the network, the points it looks at, and what its answers mean."""

    net: CloseupNet
    points: Points
    answer: Answer


def closeup_points(model: HeadModel, vertices: np.ndarray) -> Points:
    """The points that are looked at: the model's landmarks, then its ``vertices`` (N,)."""
    mean, shapes = model.landmark_model()
    others = Points.of(model, vertices)
    return Points(np.concatenate([mean, others.mean]), np.concatenate([shapes, others.shapes], 1))


@dataclass(frozen=True)
class Closer:
    """What a closer look says: a better ``guess``, and the ``doubt`` (478,) about the places of the landmarks: logarithms of
    their Laplace scales in pixels of the window."""

    guess: Guess
    doubt: np.ndarray


def look_closer(closeup: Closeup, image: np.ndarray, crop: HeadCrop, guess: Guess, share: float = 1.0) -> Closer:
    """A look at the face of ``image`` ((H, W, 3) uint8) where the ``guess`` on its ``crop`` is.

    A ``share`` of what is said to be wrong with its head is mended.
    """
    import cv2

    points = closeup.points.at(guess.coefficients)
    camera = guess.camera.through(cv2.invertAffineTransform(crop.matrix))
    window = window_of(camera, camera.project(points)[:, :2])
    places = window.camera.project(points)[:, :2]
    x = torch.from_numpy(window.of(image)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        read = closeup.net(x, torch.from_numpy(window.pose)[None], torch.from_numpy(places)[None])
    moved, log_scale, said = (one.double().numpy() for one in read)
    head = np.r_[guess.coefficients, 1000 * guess.camera.k]
    head += share * closeup.answer.change(features(moved, log_scale, said, head[None]))[0]
    back = after(crop.matrix, cv2.invertAffineTransform(window.matrix))
    seen = (places + moved[0]) @ back[:, :2].T + back[:, 2]
    better = Guess(head[:-1], settle(closeup.points, head, seen, guess.camera).camera)
    return Closer(better, log_scale[0, :LANDMARKS])
