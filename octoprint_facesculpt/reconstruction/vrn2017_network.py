"""The network of Jackson et al., "Large Pose 3D Face Reconstruction from a Single Image via Direct Volumetric CNN Regression",
ICCV 2017, as its authors released it (``vrn-unguided.t7``), for comparison and for their weights.

Layers, their order and their sizes follow the modules of the released file: a stem that quarters the picture's side, two
hourglasses of residual modules with 256 features, each added to its input, and a 1 x 1 convolution to 200 slices of depth,
enlarged to the picture's size. In that file each level of an hourglass halves the size once, and the next level lies on the
branch that keeps it, unlike in Newell et al., ECCV 2016.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

#: Side of the picture, voxels of depth, features, levels of an hourglass.
SIDE, DEPTH, FEATURES, LEVELS = 192, 200, 256, 4
#: Residual modules on the branch that keeps its size, on the one that is halved, and on the innermost of those.
KEPT_MODULES, HALVED_MODULES, INNERMOST_MODULES = 3, 6, 9


def _convolution(inputs: int, outputs: int, side: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


class ResidualModule(nn.Module):
    """Pre-activation bottleneck: (B, I, H, W) -> (B, O, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = outputs // 2
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            _convolution(inputs, middle),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            _convolution(middle, middle, 3),
            nn.BatchNorm2d(middle),
            nn.ReLU(inplace=True),
            _convolution(middle, outputs),
        )
        self.skip = nn.Identity() if inputs == outputs else _convolution(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.skip(x)


def _modules(count: int) -> list[nn.Module]:
    return [ResidualModule(FEATURES, FEATURES) for _ in range(count)]


class Level(nn.Module):
    """One scale: a branch of the input's size, which holds the further levels, plus one of half of it."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        inner = [Level(levels - 1)] if levels > 1 else []
        self.kept = nn.Sequential(*_modules(KEPT_MODULES), *inner)
        count = HALVED_MODULES if levels > 1 else INNERMOST_MODULES
        self.halved = nn.Sequential(nn.MaxPool2d(2), *_modules(count), nn.Upsample(scale_factor=2, mode="nearest"))
        self.after = ResidualModule(FEATURES, FEATURES)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.kept(x) + self.halved(x))


def _linear() -> nn.Sequential:
    return nn.Sequential(_convolution(FEATURES, FEATURES), nn.BatchNorm2d(FEATURES), nn.ReLU(inplace=True))


class VolumetricNetwork(nn.Module):
    """Picture (B, 3, 192, 192), RGB in 0..1, to the probability that a voxel is inside, (B, 200, 192, 192): z, y, x.

    z has half the pitch of x and y; small z is far from the camera.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            ResidualModule(64, 128),
            nn.MaxPool2d(2),
            ResidualModule(128, 128),
            ResidualModule(128, FEATURES),
        )
        self.hourglasses = nn.ModuleList(nn.Sequential(Level(LEVELS), _linear(), _linear()) for _ in range(2))
        self.slices = nn.Sequential(_linear(), _convolution(FEATURES, DEPTH))

    def forward(self, picture: Tensor) -> Tensor:
        x = self.stem(picture)
        for hourglass in self.hourglasses:
            x = x + hourglass(x)
        # Torch7's bilinear enlargement keeps the corners in place.
        enlarged = functional.interpolate(self.slices(x), scale_factor=4, mode="bilinear", align_corners=True)
        return enlarged.sigmoid_()
