"""Engine ``vrn2017``: the network of Jackson et al., ICCV 2017, with its authors' weights, as an alternative to ours.

Its picture is 192 pixels a side, of which the face fills 90; its volume is aligned with it, 200 voxels deep at half the pitch.
What comes out is a face without ears, crown and neck, closed at the back. The weights are not shipped:
``extras/training/convert_vrn.py`` imports them.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..portrait.portrait import Portrait
from ..progress import Progress, silent
from ..rasterise import rasterise
from .alignment import HeadCrop, head_crop
from .errors import ReconstructionError
from .head import Head
from .head_model import OUTER_EYE_CORNERS
from .resampling import resample
from .surface import zero_surface
from .weights import PACKAGED, load

if TYPE_CHECKING:
    from .vrn2017_network import VolumetricNetwork

#: Side of the picture in pixels, voxels of depth, and voxels of depth to a pixel.
SIDE, DEPTH, DEPTH_PER_PIXEL = 192, 200, 2
#: What the face's box measures in that picture: the root of its area in pixels.
FACE = 90.0
#: Probability at which a voxel is inside.
INSIDE = 0.5
#: MediaPipe's landmarks nearest to the 68 whose box the authors take: jaw, brows, nose, eyes, mouth.
BOX_LANDMARKS = (
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip


def save(path: Path, network: VolumetricNetwork, metadata: dict[str, str]) -> None:
    """Write converted weights."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path, metadata)
    path.chmod(0o644)  # safetensors lets only its owner read


def load_network(path: Path) -> VolumetricNetwork:
    """Read what :func:`save` wrote; :class:`ReconstructionError` ``weights_invalid`` when it is missing or another file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from .vrn2017_network import VolumetricNetwork

    network = VolumetricNetwork()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ReconstructionError(
            "weights_invalid",
            f"{path.name} does not hold the weights of VRN.",
            "Make them with extras/training/convert_vrn.py from vrn-unguided.t7.",
        ) from error
    return network.eval()


def reconstruct(portrait: Portrait, weights: Path, progress: Progress = silent) -> Head:
    """The face in a portrait as VRN sees it.

    Raises :class:`ReconstructionError` ``weights_invalid``, ``no_surface``.
    """
    import torch

    start = time.perf_counter()
    progress(0.0, "Loading the network")
    network = load_network(weights)
    loaded = time.perf_counter()
    matrix = face_crop(portrait.landmarks)
    picture = resample(portrait.image, matrix, SIDE, edge=False).transpose(2, 0, 1).astype(np.float32) / 255
    progress(0.2, "Looking at the face")
    with torch.inference_mode():
        volume = network(torch.from_numpy(picture)[None])[0].numpy()
    looked = time.perf_counter()
    progress(0.8, "Finding the surface")
    model = {"name": "vrn2017", "version": "2017", "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    head = head_of(volume, matrix, portrait.landmarks, model)
    head.seconds.update(load=loaded - start, network=looked - loaded, surface=time.perf_counter() - looked)
    progress(1.0, "Head reconstructed")
    return head


def face_crop(landmarks: np.ndarray) -> np.ndarray:
    """(2, 3): pixels of the photo to VRN's picture, from MediaPipe's ``landmarks`` ((478, 3), pixels)."""
    points = landmarks[list(BOX_LANDMARKS), :2].astype(np.float64)
    width, height = np.ptp(points, axis=0)
    zoom = FACE / np.sqrt(width * height)
    return np.c_[zoom * np.eye(2), SIDE / 2 - zoom * points.mean(0)]


def head_of(volume: np.ndarray, matrix: np.ndarray, landmarks: np.ndarray, model: dict[str, str]) -> Head:
    """From VRN's volume to a head in millimetres.

    Parameters
    ----------
    volume : (DEPTH, SIDE, SIDE) float32
        Probability of being inside, z towards the viewer.
    matrix : (2, 3)
        Pixels of the photo to VRN's picture.
    landmarks : (478, 3)
        MediaPipe's, pixels of the photo. VRN knows no millimetres and does not turn the head: size and turn are those of
        the average head placed on the landmarks.
    """
    average = load(PACKAGED).head
    crop = head_crop(landmarks, average.landmarks(average.mean))
    rotation, pixels_per_mm = _pose(crop)
    scale = pixels_per_mm * matrix[0, 0]  # pixels of VRN's picture to a millimetre
    centre = np.array([SIDE / 2, SIDE / 2, DEPTH / 2 / DEPTH_PER_PIXEL])

    def place(voxels: np.ndarray) -> np.ndarray:
        seen = (voxels / [1, 1, DEPTH_PER_PIXEL] - centre) * [1, -1, 1] / scale
        return seen @ rotation

    vertices, triangles = zero_surface(INSIDE - volume, place)
    on_surface = _landmarks_on(vertices, triangles, rotation, scale, landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2])
    origin = on_surface[list(OUTER_EYE_CORNERS)].mean(0)
    # A point of the head frame to VRN's picture, and on to the photo.
    forward = np.eye(3, 4)
    forward[:2, :3] = scale * rotation[:2] * [[1], [-1]]
    forward[:2, 3] = centre[:2] + forward[:2, :3] @ origin
    forward[2] = [0, 0, 0, 1]
    return Head(
        vertices=(vertices - origin).astype(np.float32),
        triangles=triangles,
        landmarks=(on_surface - origin).astype(np.float32),
        projection=np.linalg.inv(np.vstack([matrix, [0, 0, 1]])) @ forward,
        model=model,
        seconds={},
        details={"camera_distance_mm": None, "pixels_per_mm": pixels_per_mm, "volume": list(volume.shape)},
    )


def _pose(crop: HeadCrop) -> tuple[np.ndarray, float]:
    """Turn of the average head in the photo (3, 3), and the photo's pixels to a millimetre of it."""
    zoom = float(np.hypot(crop.matrix[0, 0], crop.matrix[1, 0]))
    turn = crop.matrix[:, :2] / zoom
    back = np.eye(3)
    # The picture's y axis points down, the camera's up.
    back[:2, :2] = (turn * [[1, -1], [-1, 1]]).T
    return back @ crop.camera.rotation, crop.camera.scale / zoom


def _landmarks_on(
    vertices: np.ndarray, triangles: np.ndarray, rotation: np.ndarray, scale: float, pixels: np.ndarray
) -> np.ndarray:
    """The vertices (478, 3) seen nearest to ``pixels`` ((478, 2) of VRN's picture)."""
    from scipy.spatial import cKDTree

    seen = vertices @ rotation.T * [scale, -scale, scale] + [SIDE / 2, SIDE / 2, 0]
    drawn = rasterise(seen, triangles, SIDE, SIDE).triangle
    front = np.unique(triangles[drawn[drawn >= 0]])
    return vertices[front[cKDTree(seen[front, :2]).query(pixels)[1]]]
