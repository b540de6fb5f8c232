"""Dense correspondence: where each point of a head is in the picture, and which head it would be.

The encoder has the layers of MediaPipe's face landmark network and starts training from its weights (Google, Apache-2.0):
they were learned from a great many real faces. What comes out of it is new: per head point where in the picture it is, seen or
hidden, and how sure that is (after Wood et al., "3D Face Reconstruction with Dense Landmarks", ECCV 2022), and which head of
the model it would be. :mod:`descent` goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Side of the network's picture of the face in pixels.
REGION = 256
#: Channels of the encoder's stages at 1/2, 1/4, ... 1/128 of the picture's side.
STAGES = (16, 32, 64, 128, 128, 128, 128)
#: Sides to which the maps of 1/8 to 1/128 are pooled before the whole face is judged by them.
POOLED = (4, 8, 4, 2, 2)
#: Residual blocks of a stage.
BLOCKS = 4
#: Logarithms of Laplace scales are kept in this range.
LOG_SCALES = (-6.0, 3.0)


class Block(nn.Module):
    """Inverted bottleneck with a depthwise convolution: (B, I, H, W) -> (B, O, H, W), half the size where ``stride`` is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        middle = outputs // 2
        self.stride = stride
        self.reduce = nn.Conv2d(inputs, middle, stride, stride=stride)
        self.inner = nn.PReLU(middle)
        self.depthwise = nn.Conv2d(middle, middle, 3, padding=1, groups=middle)
        self.expand = nn.Conv2d(middle, outputs, 1)
        self.outer = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        body = self.expand(self.depthwise(self.inner(self.reduce(x))))
        skip = functional.max_pool2d(x, 2) if self.stride == 2 else x
        missing = body.shape[1] - skip.shape[1]
        return self.outer(body + (functional.pad(skip, (0, 0, 0, 0, 0, missing)) if missing else skip))


class FaceEncoder(nn.Module):
    """Picture (B, 3, REGION, REGION), 0..1, -> a map of every stage, (B, STAGES[i], REGION / 2^(i+1), ...)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STAGES[0], 3, stride=2)
        self.first = nn.PReLU(STAGES[0])
        stages = [nn.Sequential(*(Block(STAGES[0], STAGES[0]) for _ in range(BLOCKS)))]
        for before, width in pairwise(STAGES):
            stages.append(nn.Sequential(Block(before, width, 2), *(Block(width, width) for _ in range(BLOCKS))))
        self.stages = nn.ModuleList(stages)

    def forward(self, picture: Tensor) -> list[Tensor]:
        # TensorFlow's "same" padding of a stride of two: one row below, one column to the right.
        x = self.first(self.stem(functional.pad(picture, (0, 1, 0, 1))))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


@dataclass(frozen=True)
class Whole:
    """What the network says of the face as a whole, batch first.

    Attributes
    ----------
    points : (B, P, 2)
        Where the head points are, 0..1 over the picture.
    log_scale : (B, P)
        Logarithm of their Laplace scale.
    head : (B, C)
        Coefficients of the head model, the last ``1000 k`` (k in 1/mm).
    """

    points: Tensor
    log_scale: Tensor
    head: Tensor


class CorrespondenceNet(nn.Module):
    """Picture of a face (B, 3, REGION, REGION), 0..1, -> :class:`Whole` of ``points`` points
    and ``outputs`` numbers."""

    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, points: int, outputs: int, hidden: int = 384) -> None:
        super().__init__()
        self.encoder = FaceEncoder()
        size = sum(channels * side**2 for channels, side in zip(STAGES[2:], POOLED, strict=True))
        self.register_buffer("feature_mean", torch.zeros(size))
        self.register_buffer("feature_deviation", torch.ones(size))
        self.gather = nn.Linear(size, hidden)
        self.mix = nn.Sequential(nn.Dropout(0.1), nn.Linear(hidden, 2 * hidden), nn.GELU(), nn.Linear(2 * hidden, hidden))
        self.points = nn.Linear(hidden, 3 * points)
        self.head = nn.Linear(hidden, outputs)

    def features(self, stages: list[Tensor]) -> Tensor:
        """What the whole face is judged by: (B, F) of the encoder's maps, the larger ones pooled."""
        pooled = (
            functional.adaptive_avg_pool2d(m.float(), side).flatten(1) for m, side in zip(stages[2:], POOLED, strict=True)
        )
        return torch.cat(list(pooled), 1)

    def whole(self, stages: list[Tensor]) -> Whole:
        """From the encoder's maps to where the head's points are, and which head it is."""
        with torch.autocast(stages[0].device.type, enabled=False):
            # A feature far outside what training saw says "strange picture", not "strange person".
            features = ((self.features(stages) - self.feature_mean) / self.feature_deviation).clamp(-6, 6)
            x = self.gather(features)
            x = x + self.mix(x)
            points = self.points(x).unflatten(1, (-1, 3))
            return Whole(points[..., :2], points[..., 2].clamp(*LOG_SCALES), self.head(x))

    def forward(self, picture: Tensor) -> Whole:
        return self.whole(self.encoder(picture))
