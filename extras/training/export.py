"""Put what was learned into the package: one safetensors file and its model card.

    python extras/training/export.py --materials runs/materials.pkl --guess runs/guess.pt --volume runs/volume.pt \
        --version 0.1.0 --out octoprint_facesculpt/reconstruction/weights/facesculpt-vrn.safetensors
"""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import samples as data
import torch

from octoprint_facesculpt.reconstruction.guides import CHANNELS
from octoprint_facesculpt.reconstruction.network import FirstGuess, GuidedVolumeNet
from octoprint_facesculpt.reconstruction.weights import save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "guess", "volume", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--version", required=True)
    arguments = parser.parse_args()
    materials = pickle.loads(arguments.materials.read_bytes())
    model, _ = data.shipped_model(materials.model, materials.head.expression_names)
    stored = torch.load(arguments.guess)
    guess = FirstGuess(stored["features"], stored["outputs"])
    guess.load_state_dict(stored["state"])
    net = GuidedVolumeNet(CHANNELS)
    trained = torch.load(arguments.volume)
    net.load_state_dict(trained["net"])
    metadata = {
        "name": "facesculpt-vrn",
        "version": arguments.version,
        "widths": json.dumps(net.widths),
        "samples": str(trained["samples"]),
        "head_model": "ICT-FaceKit Light, (c) 2020 USC Institute for Creative Technologies, MIT licence",
    }
    # A little more spread than measured on renders: photos are further from them than they are from each other.
    spread = stored["spread"].double().numpy()
    precision = np.linalg.inv(spread + 0.01 * np.diag(np.diag(spread)))
    save(arguments.out, guess, net, model, precision, metadata)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
