"""Import the weights of Jackson et al. (ICCV 2017) for the engine ``vrn2017``.

    python extras/training/convert_vrn.py vrn-unguided.t7 -o vrn-unguided.safetensors
    octoprint plugins facesculpt:reconstruct PHOTO -o HEAD.stl --network vrn2017 --network-weights vrn-unguided.safetensors

``vrn-unguided.t7`` is what the authors published (https://github.com/AaronJackson/vrn, MIT licence; the data behind the weights
are for research). Every layer must be of the kind and size that our copy of the network has in its place.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch7 import Object, Torch7Error, load

from octoprint_facesculpt.reconstruction.vrn2017_network import Level, ResidualModule, VolumetricNetwork

#: Layers of Torch7 that hold nothing, by the end of their names.
CONTAINERS = ("Sequential", "ConcatTable")
EMPTY = (
    "ReLU",
    "Identity",
    "CAddTable",
    "SpatialMaxPooling",
    "SpatialUpSamplingNearest",
    "SpatialUpSamplingBilinear",
    "Sigmoid",
)


def layers(module: Object) -> Iterator[Object]:
    """Convolutions and normalisations of a Torch7 network in the order of its file."""
    package, _, kind = module.kind.partition(".")
    if package not in ("nn", "cudnn", "nngraph"):
        raise Torch7Error(f"{module.kind} is no layer")
    if kind in CONTAINERS:
        for inner in module.modules:
            yield from layers(inner)
    elif kind in ("SpatialConvolution", "SpatialConvolutionMM", "SpatialBatchNormalization"):
        yield module
    elif kind not in EMPTY:
        raise Torch7Error(f"the network has a layer {module.kind}, which VRN has not")


def our_layers(module: nn.Module) -> Iterator[nn.Module]:
    """The same of our copy, in the order of the file: body before skip, the branch of full size before the halved one."""
    if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
        yield module
    elif isinstance(module, ResidualModule):
        yield from our_layers(module.body)
        yield from our_layers(module.skip)
    elif isinstance(module, Level):
        for part in (module.kept, module.halved, module.after):
            yield from our_layers(part)
    elif isinstance(module, VolumetricNetwork):
        for part in (module.stem, *module.hourglasses, module.slices):
            yield from our_layers(part)
    else:
        for part in module.children():
            yield from our_layers(part)


def convert(network: Object) -> VolumetricNetwork:
    """Our copy with the weights of a Torch7 network; :class:`Torch7Error` names the layer that does not fit."""
    ours = VolumetricNetwork().eval()
    theirs = list(layers(network))
    places = list(our_layers(ours))
    if len(theirs) != len(places):
        raise Torch7Error(f"the network has {len(theirs)} layers with weights, VRN has {len(places)}")
    with torch.no_grad():
        for number, (layer, place) in enumerate(zip(theirs, places, strict=True)):
            if isinstance(place, nn.Conv2d):
                _copy_convolution(layer, place, number)
            else:
                _copy_normalisation(layer, place, number)
    return ours


def _copy_convolution(layer: Object, place: nn.Conv2d, number: int) -> None:
    if "Convolution" not in layer.kind:
        raise Torch7Error(f"layer {number} is {layer.kind} where VRN has a convolution")
    weight = np.asarray(layer["weight"], np.float32)
    if weight.size != place.weight.numel() or len(weight) != len(place.weight):
        raise Torch7Error(f"layer {number} has weights {weight.shape} where VRN has {tuple(place.weight.shape)}")
    _fill(place.weight, weight.reshape(place.weight.shape), number)
    _fill(place.bias, layer["bias"], number)


def _copy_normalisation(layer: Object, place: nn.BatchNorm2d, number: int) -> None:
    if not layer.kind.endswith("BatchNormalization"):
        raise Torch7Error(f"layer {number} is {layer.kind} where VRN has a normalisation")
    epsilon = float(layer.fields.get("eps", place.eps))
    place.eps = epsilon
    _fill(place.weight, layer["weight"], number)
    _fill(place.bias, layer["bias"], number)
    _fill(place.running_mean, layer["running_mean"], number)
    if "running_var" in layer.fields:
        variance = np.asarray(layer["running_var"], np.float64)
    else:  # older files keep the inverse of the deviation
        variance = 1 / np.asarray(layer["running_std"], np.float64) ** 2 - epsilon
    # One epsilon for all: what differs goes into the variance.
    _fill(place.running_var, variance + epsilon - 1e-5, number)
    place.eps = 1e-5


def _fill(place: torch.Tensor, values, number: int) -> None:
    array = np.asarray(values, np.float32)
    if array.shape != tuple(place.shape):
        raise Torch7Error(f"layer {number} has values {array.shape} where VRN has {tuple(place.shape)}")
    if not np.isfinite(array).all():
        raise Torch7Error(f"layer {number} has values that are no numbers")
    place.copy_(torch.from_numpy(array))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, help="vrn-unguided.t7")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .safetensors file")
    arguments = parser.parse_args()
    from octoprint_facesculpt.reconstruction.vrn2017 import save

    try:
        network = load(arguments.weights)
        if not isinstance(network, Object):
            raise Torch7Error("the file holds no network")
        converted = convert(network)
    except (OSError, Torch7Error) as error:
        sys.exit(f"{arguments.weights}: {error}")
    digest = hashlib.sha256(arguments.weights.read_bytes()).hexdigest()
    save(arguments.out, converted, {"source": arguments.weights.name, "source_sha256": digest})
    print(f"{arguments.out}: {sum(p.numel() for p in converted.parameters())} parameters")


if __name__ == "__main__":
    main()
