"""The guided hourglass that regresses the volume.

Input is the picture with *dense guides*: what the guess looks like from this camera (model
coordinates, normals, depth), MediaPipe's landmarks as Gaussian channels, and the guess's own signed-distance volume with
depth as channels. Output is the volume, as a correction of the guess, and the guess's surface points' displacement in the
picture (dense correspondence), a second task from which it learns where things are; the head takes those from :mod:`closeup`.
Architecture after Jackson et al. 2017 (one hourglass, residual modules, 2-D convolutions
with depth as channels) and Newell et al. 2016 (hourglass).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .volume import GRID, TRUNCATION

#: Largest correction of the guess in voxels; less than TRUNCATION, so that empty space stays empty.
LARGEST = 1.5


class ResidualModule(nn.Module):
    """Pre-activation bottleneck of VRN and the stacked hourglass: (B, I, H, W) -> (B, O, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=False),
            nn.Conv2d(inputs, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, middle, 3, padding=1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            nn.Conv2d(middle, outputs, 1),
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.body(x)


class Hourglass(nn.Module):
    """Down to ``2^-len(widths)`` of the size and up again, with a skip at every scale; width ``widths[0]`` outside."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        outer, inner, *rest = widths
        self.skip = ResidualModule(outer, outer)
        self.down = ResidualModule(outer, inner)
        self.middle = Hourglass((inner, *rest)) if rest else ResidualModule(inner, inner)
        self.up = ResidualModule(inner, outer)

    def forward(self, x: Tensor) -> Tensor:
        low = self.up(self.middle(self.down(functional.max_pool2d(x, 2))))
        # Bilinear: repeated pixels would leave terraces in the surface.
        return self.skip(x) + functional.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Reading:
    """What the hourglass says, batch first.

    ``volume`` (B, GRID, GRID, GRID): signed distance in voxels. ``displacement`` (B, 3, GRID, GRID): where the guess's
    visible surface points really are, x and y in crop pixels, depth in crop pixels; ``log_scale`` (B, 1, GRID, GRID): the
    logarithm of its Laplace scale.
    """

    volume: Tensor
    displacement: Tensor
    log_scale: Tensor


class GuidedVolumeNet(nn.Module):
    """Picture (B, 3, 4 GRID, 4 GRID), dense guides (B, ``guides``, 2 GRID, 2 GRID) and guess -> :class:`Reading`.

    The correction is a smooth field of at most ``LARGEST`` voxels: it moves the guess's surface and can make no other.
    """

    depth_blur: Tensor

    def __init__(self, guides: int, widths: tuple[int, ...] = (64, 144, 192, 192, 192)) -> None:
        super().__init__()
        self.widths = widths
        width = widths[0]
        self.picture = nn.Sequential(
            nn.Conv2d(3, width // 2, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1),
        )
        self.guides = nn.Conv2d(guides, width, 5, stride=2, padding=2)
        self.guess = nn.Conv2d(GRID, width, 1)
        self.enter = ResidualModule(width, width)
        self.hourglass = Hourglass(widths)
        self.leave = nn.Sequential(
            ResidualModule(width, width), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 2 * width, 1), nn.ReLU()
        )
        self.volume = nn.Conv2d(2 * width, GRID, 1)
        self.displacement = nn.Conv2d(2 * width, 4, 1)
        for head in (self.volume, self.displacement):
            for parameter in head.parameters():
                nn.init.zeros_(parameter)
        self.register_buffer("depth_blur", _blur_matrix(GRID), persistent=False)

    def forward(self, picture: Tensor, guides: Tensor, guess: Tensor) -> Reading:
        x = self.enter(self.picture(picture) + self.guides(guides) + self.guess(guess / TRUNCATION))
        x = self.leave(self.hourglass(x))
        flow = self.displacement(x)
        # A blur of the correction in x, y and z, done where it is cheap: on the features and on the weights.
        for _ in range(2):
            x = functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        weight, bias = self.volume.parameters()
        blurred = torch.einsum("de,ecij->dcij", self.depth_blur, weight)
        correction = functional.conv2d(x, blurred, self.depth_blur @ bias)
        return Reading(guess + LARGEST * torch.tanh(correction / LARGEST), flow[:, :3], flow[:, 3:])


def _blur_matrix(size: int) -> Tensor:
    """(size, size) that convolves a column with (1, 2, 3, 2, 1) / 9, the edge repeated."""
    steps = torch.arange(size)
    shifted = [functional.one_hot((steps + shift).clamp(0, size - 1), size).float() for shift in (-1, 0, 1)]
    once = torch.stack(shifted).mean(0)
    return once @ once
