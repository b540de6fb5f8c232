"""A file like ``vrn-unguided.t7``: the modules of the released network, in their nesting and sizes, with random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from .torch7_writer import Module, concat_table, sequential


class VrnFile:
    """Builds the modules with weights drawn from one generator."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)

    def network(self) -> Module:
        hourglass = [
            part for _ in range(2) for part in (concat_table(Module("nn.Identity"), self._hourglass()), Module("nn.CAddTable"))
        ]
        return sequential(
            self._convolution(3, 64, 7),
            self._normalisation(64),
            Module("nn.ReLU"),
            self._residual(64, 128),
            Module("nn.SpatialMaxPooling"),
            self._residual(128, 128),
            self._residual(128, 256),
            *hourglass,
            concat_table(
                sequential(
                    self._linear(),
                    self._convolution(256, 200, 1),
                    Module("nn.SpatialUpSamplingBilinear"),
                    Module("nn.Sigmoid"),
                )
            ),
        )

    def _hourglass(self) -> Module:
        level = self._level(4)
        return sequential(*level, self._linear(), self._linear())

    def _level(self, levels: int) -> list[Module]:
        kept = [self._residual(256, 256) for _ in range(3)]
        if levels > 1:
            kept.append(sequential(*self._level(levels - 1)))
        halved = [self._residual(256, 256) for _ in range(6 if levels > 1 else 9)]
        branches = concat_table(
            sequential(*kept), sequential(Module("nn.SpatialMaxPooling"), *halved, Module("nn.SpatialUpSamplingNearest"))
        )
        return [branches, Module("nn.CAddTable"), self._residual(256, 256)]

    def _linear(self) -> Module:
        return sequential(self._convolution(256, 256, 1), self._normalisation(256), Module("nn.ReLU"))

    def _residual(self, inputs: int, outputs: int) -> Module:
        middle = outputs // 2
        body = [
            self._normalisation(inputs),
            Module("nn.ReLU"),
            self._convolution(inputs, middle, 1),
            self._normalisation(middle),
            Module("nn.ReLU"),
            self._convolution(middle, middle, 3),
            self._normalisation(middle),
            Module("nn.ReLU"),
            self._convolution(middle, outputs, 1),
        ]
        skip = Module("nn.Identity") if inputs == outputs else sequential(self._convolution(inputs, outputs, 1))
        return sequential(concat_table(sequential(*body), skip), Module("nn.CAddTable"))

    def _convolution(self, inputs: int, outputs: int, side: int) -> Module:
        weight = self._rng.normal(scale=0.7 / np.sqrt(inputs * side * side), size=(outputs, inputs, side, side))
        fields = {"weight": weight.astype(np.float32), "bias": self._numbers(outputs, 0, 0.1), "padW": side // 2}
        return Module("nn.SpatialConvolution", fields)

    def _normalisation(self, count: int) -> Module:
        fields = {
            "weight": self._numbers(count, 1, 0.1),
            "bias": self._numbers(count, 0, 0.1),
            "running_mean": self._numbers(count, 0, 0.1),
            "running_var": np.abs(self._numbers(count, 1, 0.2)),
            "eps": 1e-5,
        }
        return Module("nn.SpatialBatchNormalization", fields)

    def _numbers(self, count: int, mean: float, spread: float) -> np.ndarray:
        return self._rng.normal(mean, spread, count).astype(np.float32)


def run(module: Any, x: Any) -> Any:
    """What Torch7 computes: ``module`` (written or read) on a tensor, or on a list of them for a table."""
    kind, fields = module.kind.partition(".")[2], module.fields
    inner = [fields["modules"][n] for n in sorted(fields.get("modules", {}))]
    if kind == "Sequential":
        for part in inner:
            x = run(part, x)
        return x
    if kind == "ConcatTable":
        outputs = [run(part, x) for part in inner]
        return outputs[0] if len(outputs) == 1 else outputs
    if kind == "CAddTable":
        return sum(x[1:], x[0])
    if kind == "SpatialConvolution":
        weight, bias = (torch.from_numpy(fields[name]) for name in ("weight", "bias"))
        return functional.conv2d(x, weight, bias, stride=2 if weight.shape[-1] == 7 else 1, padding=fields["padW"])
    if kind == "SpatialBatchNormalization":
        names = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(torch.from_numpy(fields[name]) for name in names), eps=fields["eps"])
    return {
        "ReLU": functional.relu,
        "Identity": lambda y: y,
        "Sigmoid": torch.sigmoid,
        "SpatialMaxPooling": lambda y: functional.max_pool2d(y, 2),
        "SpatialUpSamplingNearest": lambda y: functional.interpolate(y, scale_factor=2, mode="nearest"),
        "SpatialUpSamplingBilinear": lambda y: functional.interpolate(y, scale_factor=4, mode="bilinear", align_corners=True),
    }[kind](x)
