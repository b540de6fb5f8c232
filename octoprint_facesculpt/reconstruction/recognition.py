"""Who it is: what a network that tells people apart sees of a face, and which head such a person has.

Points say where things are; a network that was trained to know one of millions of people again in any light, pose and mood
says what is his own (after Zielonka et al., "Towards Metrical Reconstruction of Human Faces", ECCV 2022). The network is
dlib's (Davis King, ``dlib_face_recognition_resnet_model_v1``, CC0 1.0) without its last layer. As there, its lower layers stay
as they are; those above, and the linear map from what they see to a head, were trained on with drawn people.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from .head_model import Mirror
from .resampling import resample

#: Side of the network's picture in pixels, and numbers it says of a face.
CHIP, FEATURES = 150, 256
#: Means of its colours, 0..255.
COLOURS = (122.782, 117.001, 104.298)
#: Widths of the residual blocks, and which of them halve the size.
BLOCKS = (
    *[(32, False)] * 3, (64, True), *[(64, False)] * 3, (128, True), *[(128, False)] * 2, (256, True), *[(256, False)] * 2,
    (256, True),
)  # fmt: skip
#: So many of the blocks are as dlib's author trained them.
LOWER = 7
#: MediaPipe's landmarks at the corners of the eyes and below the nose, and their places on an aligned picture, 0..1.
ALIGNED = (33, 133, 362, 263, 2)
PLACES = np.array([[0.247, 0.309], [0.389, 0.319], [0.597, 0.319], [0.740, 0.309], [0.493, 0.585]])


class Residual(nn.Module):
    """Two convolutions beside an identity or, where the block goes ``down``, an average of four pixels."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.first = nn.Conv2d(inputs, outputs, 3, 2 if down else 1, 0 if down else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        body = self.second(functional.relu(self.first(x)))
        if self.down:
            x = functional.avg_pool2d(x, 2)
            # The larger of both is kept, the other filled up with zeros, as in dlib's add_prev.
            x = functional.pad(x, (0, 0, 0, 0, 0, body.shape[1] - x.shape[1]))
            body = functional.pad(body, (0, x.shape[3] - body.shape[3], 0, x.shape[2] - body.shape[2]))
        return functional.relu(x + body)


class RecognitionNet(nn.Module):
    """Aligned picture of a face (B, 3, CHIP, CHIP), 0..1, -> (B, FEATURES)."""

    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("colours", torch.tensor(COLOURS)[:, None, None] / 256, persistent=False)
        self.stem = nn.Conv2d(3, BLOCKS[0][0], 7, stride=2)
        widths = (BLOCKS[0][0], *(width for width, _ in BLOCKS))
        blocks = zip(widths[:-1], BLOCKS, strict=True)
        self.blocks = nn.Sequential(*(Residual(before, width, down) for before, (width, down) in blocks))

    def first(self, picture: Tensor) -> Tensor:
        """What the first layer sees of a picture (B, 3, H, W), 0..1."""
        return functional.relu(self.stem(picture * (255 / 256) - self.colours))

    def lower(self, picture: Tensor) -> Tensor:
        """What the lower layers see, (B, 64, 17, 17)."""
        return self.blocks[:LOWER](functional.max_pool2d(self.first(picture), 3, 2))

    def upper(self, seen: Tensor) -> Tensor:
        """The (B, FEATURES) numbers the layers above make of that."""
        return self.blocks[LOWER:](seen).mean((2, 3))

    def forward(self, picture: Tensor) -> Tensor:
        return self.upper(self.lower(picture))


@dataclass(frozen=True)
class Recogniser:
    """``identity = (features - mean) @ shape`` of each range of yaw of :mod:`descent`.

    ``mean`` (Y, FEATURES), ``shape`` (Y, FEATURES, I), and the ``precision`` (Y, I, I) of the identity coefficients that are
    found so from a picture and its mirror image.
    """

    net: RecognitionNet
    mean: np.ndarray
    shape: np.ndarray
    precision: np.ndarray

    def look(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """The network's numbers (2, FEATURES) for the face with MediaPipe's ``landmarks`` ((478, 3) px) in ``image``, and for
        its mirror image."""
        picture = torch.from_numpy(aligned(image, landmarks[list(ALIGNED), :2])).permute(2, 0, 1).float() / 255
        with torch.inference_mode():
            return self.net(torch.stack([picture, picture.flip(2)])).numpy()

    def identity(self, features: np.ndarray, number: int, mirror: Mirror) -> np.ndarray:
        """(I,) coefficients of the person with ``features`` (2, FEATURES), the face turned into the yaw range ``number``.

        What is said of the mirror image is off by something else: the mean is better by a twenty-fifth.
        """
        own, mirrored = (self._identity(*one) for one in zip(features, (number, len(self.mean) - 1 - number), strict=True))
        return (own + mirror.of(mirrored)) / 2

    def _identity(self, features: np.ndarray, number: int) -> np.ndarray:
        return (features - self.mean[number]) @ self.shape[number]


def aligned(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The picture (CHIP, CHIP, 3) uint8 the network wants of the face in ``image`` with the landmarks ``ALIGNED`` at ``places``
    ((5, 2) px)."""
    from trimesh.registration import procrustes

    here = np.c_[places.astype(np.float64), np.zeros(len(ALIGNED))]
    there = np.c_[CHIP * PLACES, np.zeros(len(PLACES))]
    similarity = procrustes(here, there, reflection=False, return_cost=False)
    return resample(image, similarity[:2, [0, 1, 3]], CHIP)
