"""Learn which head the people have whom the recognition network sees: ridge regression for every range of yaw.

    python extras/training/train_recognition.py --materials runs/materials.pkl --train runs/recognised \
        --test runs/recognised-test --recognition node_modules/@vladmandic/face-api/model --out runs/recognition.pt

How far it is off on its own pictures is how far it is believed: there are hundreds of times more of them than features.
"""

from __future__ import annotations

import argparse
import pickle
from pathlib import Path

import checkpoint
import numpy as np
import recognition_weights
import torch
from measure import FaceError
from samples import shipped_model

from octoprint_facesculpt.reconstruction.descent import YAWS
from octoprint_facesculpt.reconstruction.recognition import RecognitionNet

#: Share of the features' own variance that is added to it.
STRENGTH = 0.02


def read(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, F) and identity coefficients (N, I) of all pictures of yaw range ``number`` in a folder."""
    features, identity = [], []
    for path in sorted(folder.glob("*.npz")):
        data = np.load(path)
        rows = np.searchsorted(YAWS, data["yaw"]) == number
        features.append(data["features"][rows])
        identity.append(data["identity"][rows])
    return np.concatenate(features).astype(np.float64), np.concatenate(identity).astype(np.float64)


def regress(features: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (F,) and shape (F, I) of the regression, and the precision (I, I) of what it says."""
    mean = features.mean(0)
    x = features - mean
    covariance = x.T @ x
    shape = np.linalg.solve(covariance + STRENGTH * np.trace(covariance) / len(mean) * np.eye(len(mean)), x.T @ identity)
    wrong = identity - x @ shape
    return mean, shape, np.linalg.inv(wrong.T @ wrong / (len(x) - len(mean)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("materials", "train", "test", "recognition", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args()
    materials = pickle.loads(arguments.materials.read_bytes())
    model, _ = shipped_model(materials.model, materials.head.expression_names)
    measure = FaceError(model)
    found, pictures = [], 0
    for number in range(len(YAWS) + 1):
        features, identity = read(arguments.train, number)
        found.append(regress(features, identity))
        pictures += len(features)
        asked, truth = read(arguments.test, number)
        said = (asked - found[-1][0]) @ found[-1][1]
        # The expression, which is not asked for, and the camera's number count as known.
        rest = np.zeros((len(truth), len(model.expression) + 1))
        average, alone = (measure(np.c_[one, rest], np.c_[truth, rest]) for one in (0 * truth, said))
        print(f"yaw range {number}: {len(features)} pictures, average {average:.3f} -> {alone:.3f} mm", flush=True)
    net = RecognitionNet()
    recognition_weights.load_into(net, arguments.recognition)
    mean, shape, precision = (torch.from_numpy(np.stack(part)).float() for part in zip(*found, strict=True))
    state = {"net": net.state_dict(), "mean": mean, "shape": shape, "precision": precision, "pictures": pictures}
    checkpoint.save(arguments.out, state)


if __name__ == "__main__":
    main()
