"""A second task for the encoder while it learns: which point of the head is seen at each place of the picture.

The maps (after Giebenhain et al., "Pixel3DMM", 2025) are not shipped: what they teach the encoder is where things are, which is
what supervised descent reads out of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from octoprint_facesculpt.reconstruction.correspondence import LOG_SCALES, STAGES

#: Side of the maps.
MAP = 64


@dataclass(frozen=True)
class Maps:
    """What the network says of each place of the picture, batch first.

    Attributes
    ----------
    coordinates : (B, 3, MAP, MAP)
        The point of the mean head that is seen, in units of 100 mm.
    normals : (B, 3, MAP, MAP)
        In camera axes (x right, y up, z towards the viewer), not normalised.
    log_scale : (B, 1, MAP, MAP)
        Logarithm of the Laplace scale of ``coordinates``.
    seen : (B, 1, MAP, MAP)
        Logit of there being a head at all.
    """

    coordinates: Tensor
    normals: Tensor
    log_scale: Tensor
    seen: Tensor


class MapDecoder(nn.Module):
    """From the encoder's maps to :class:`Maps`."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth = STAGES[1], STAGES[2], STAGES[3]  # maps of side 64, 32, 16
        self.lateral8 = nn.Conv2d(STAGES[4], 128, 1)
        self.lateral16 = nn.Conv2d(eighth, 128, 1)
        self.lateral32 = nn.Conv2d(quarter, 64, 1)
        self.lateral64 = nn.Conv2d(half, 48, 1)
        self.up16 = _convolutions(128, 64)
        self.up32 = _convolutions(64, 48)
        self.up64 = nn.Sequential(_convolutions(48, 48), _convolutions(48, 48))
        self.dense = nn.Conv2d(48, 8, 1)

    def forward(self, stages: list[Tensor]) -> Maps:
        _, at64, at32, at16, at8, *_ = stages
        x = self.lateral16(at16) + _twice(self.lateral8(at8))
        x = self.lateral32(at32) + _twice(self.up16(x))
        x = self.lateral64(at64) + _twice(self.up32(x))
        x = self.up64(x)
        # Places want more digits than bfloat16 has, in which the convolutions may be trained.
        with torch.autocast(x.device.type, enabled=False):
            coordinates, normals, log_scale, seen = self.dense(x.float()).split((3, 3, 1, 1), 1)
        return Maps(coordinates, normals, log_scale.clamp(*LOG_SCALES), seen)


def _convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
