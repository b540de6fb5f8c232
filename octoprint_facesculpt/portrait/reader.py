"""A photo file becomes a portrait: decoded, one face chosen, its landmarks found, its quality judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..assets import asset_path
from ..progress import Progress, silent
from .decode import PortraitLimits, decode
from .detector import FaceDetector, overlap
from .errors import PortraitError, SeveralFaces
from .landmarker import Landmarker, LandmarkResult, Roi
from .portrait import FaceBox, Portrait, QualityNote
from .quality import eye_distance, judge
from .turned import find_turned

DETECTOR = "face_detector"
LANDMARKS = "face_landmarks_detector"
#: A face is the one meant when no other has more than this share of its area.
DOMINANT = 0.35
#: Eye distance in pixels below which a face cannot be reconstructed.
MIN_EYE_DISTANCE = 20.0
#: Below this probability what the detector found is no face.
MIN_PRESENCE = 0.5
#: What helps a small face in a picture that is worked on with fewer pixels than it has.
CROP = "Crop the picture to the person you mean."
#: Beside a certain face, what is less probable than this is none either (a fold of a suit): true faces come out at 0.99.
DOUBTFUL = 0.97
#: Faces with more overlap than this are one; no more than so many candidates are looked at (a school class).
SAME_FACE = 0.4
MAX_CANDIDATES = 60
#: A face that is found with a higher score is not upside down: such a one came out at 0.90 at most.
UPRIGHT = 0.92
#: Where no face is found at first, so many of the likeliest are looked at as perhaps turned far.
MAX_TURNED = 3


@dataclass(frozen=True)
class Found:
    """A face with its landmarks."""

    box: FaceBox
    result: LandmarkResult


def find_faces(image: np.ndarray, assets: Path | None = None) -> tuple[Found, ...]:
    """All faces in an upright picture ((H, W, 3) uint8), largest first; :class:`AssetError` when a model is missing.

    The landmark network has the last word on what the detector takes for a face, and on which of them are the same.
    """
    landmarker = Landmarker(asset_path(LANDMARKS, assets))
    boxes = FaceDetector(asset_path(DETECTOR, assets)).detect(image)
    found: list[Found] = []
    for box in boxes[:MAX_CANDIDATES]:
        first = landmarker.run(image, Roi.from_box(box))
        if first.presence < MIN_PRESENCE:
            continue
        # The second pass looks where the first found the face, which is how the networks were trained.
        result = landmarker.run(image, Roi.from_landmarks(first.landmarks))
        if result.presence >= MIN_PRESENCE:
            found.append(Found(_box(result.landmarks, box), result))
    if not found:
        likeliest = sorted(boxes, key=lambda box: -box.score)[:MAX_TURNED]
        results = ((box, find_turned(landmarker, image, box)) for box in likeliest)
        found = [Found(_box(result.landmarks, box), result) for box, result in results if result is not None]
    kept: list[Found] = []
    for face in sorted(beyond_doubt(found), key=lambda f: -f.box.score * f.result.presence):
        if all(overlap(face.box, other.box) < SAME_FACE for other in kept):
            kept.append(face)
    return tuple(sorted(kept, key=lambda f: -f.box.width * f.box.height))


def find_upright(image: np.ndarray, assets: Path | None = None) -> tuple[int, tuple[Found, ...]]:
    """By how many quarter turns (counter-clockwise) a picture ((H, W, 3) uint8) must be turned to be upright, and its faces.

    The networks see a face in one that is upside down, too, eyes and mouth where there are none. The right way up it is always
    seen best: with 30 photos of real people by 0.014 of score times presence at least.
    """
    found = find_faces(image, assets)
    if any(face.box.score >= UPRIGHT for face in found):
        return 0, found
    turned = [found, *(find_faces(np.ascontiguousarray(np.rot90(image, turns)), assets) for turns in (1, 2, 3))]
    seen = [max((face.box.score * face.result.presence for face in faces), default=0.0) for faces in turned]
    turns = int(np.argmax(seen))
    return turns, turned[turns]


def beyond_doubt(found: list[Found]) -> list[Found]:
    """The faces that are certain, or all where none is."""
    certain = [face for face in found if face.result.presence >= DOUBTFUL]
    return certain or found


def read_portrait(path: Path, *, face: int | None = None, assets: Path | None = None, progress: Progress = silent) -> Portrait:
    """Read a photo and find the face in it.

    Parameters
    ----------
    path : path of a picture file
    face : int, optional
        Which face, counted from 0 by falling size. Without it a picture with one clearly dominant face is accepted.
    assets : path, optional
        Folder of the fetched models.

    Raises
    ------
    PortraitError
        ``unreadable_image``, ``unsupported_format``, ``image_too_large``, ``no_face``, ``several_faces`` (a
        :class:`SeveralFaces` with the boxes), ``face_too_small``, ``face_choice``.
    AssetError
        ``asset_missing``.
    """
    progress(0.0, "Reading the photo")
    image, decoded = decode(path, PortraitLimits())
    progress(0.3, "Looking for the face")
    turns, found = find_upright(image, assets)
    image = np.ascontiguousarray(np.rot90(image, turns))
    decoded["turned_deg"] = 90 * turns
    progress(0.9, "Judging the photo")
    faces = tuple(f.box for f in found)
    chosen = _choose(faces, face, decoded["scale"])
    result = found[chosen].result
    if eye_distance(result.landmarks) < MIN_EYE_DISTANCE:
        raise PortraitError(
            "face_too_small",
            f"The face is only {eye_distance(result.landmarks):.0f} pixels from eye to eye.",
            "Use a larger scan or a closer photo." if decoded["scale"] == 1 else CROP,
        )
    quality, notes = judge(image, result.landmarks, result.presence, faces)
    if turns:
        notes = (*notes, QualityNote("stored_turned", "info", "The photo was not stored upright and has been turned."))
    progress(1.0, "Photo read")
    return Portrait(
        image=image,
        decoded=decoded,
        faces=faces,
        face=chosen,
        landmarks=result.landmarks,
        presence=result.presence,
        quality=quality,
        notes=notes,
    )


def _choose(faces: tuple[FaceBox, ...], face: int | None, scale: float) -> int:
    if not faces:
        hint = "Use a photo in which the face is well lit and not covered." if scale == 1 else CROP
        raise PortraitError("no_face", "No face was found in this picture.", hint)
    if face is not None:
        if not 0 <= face < len(faces):
            raise PortraitError(
                "face_choice", f"There is no face number {face}; the picture has {len(faces)}.", "Choose another face."
            )
        return face
    area = [box.width * box.height for box in faces]
    if len(faces) > 1 and area[1] > DOMINANT * area[0]:
        raise SeveralFaces(faces)
    return 0


def _box(landmarks: np.ndarray, detected: FaceBox) -> FaceBox:
    """The landmarks' bounding box with the detector's score and roll."""
    low, high = landmarks[:468, :2].min(0), landmarks[:468, :2].max(0)
    left, top, width, height = (float(v) for v in (*low, *(high - low)))
    return FaceBox(left, top, width, height, detected.score, detected.roll_rad)
