"""A photo file becomes a portrait: decoded, one face chosen, its landmarks found, its quality judged.

Faces are looked for in the photo as it is worked on, which has a few megapixels; one that is small there is cut out of the file
with all the pixels it has, so that a face in an old school class comes out as if it had been photographed alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..assets import asset_path
from ..progress import Progress, silent
from .decode import Part, decode, decode_part
from .detector import FaceDetector, overlap
from .errors import PortraitError, SeveralFaces
from .landmarker import INPUT, Landmarker, LandmarkResult, Roi
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
#: A face is cut out when its region has fewer pixels a side than this in the photo as it is worked on, and more in the file;
#: the part that is cut out is so many times that large, and has so many pixels a side of the region at most. Photos of real
#: people made so small that a region had 350, 256, 150, 100 and 64 pixels gave heads 0.2, 0.3, 0.4, 0.6 and 1.2 mm off.
FEW, AROUND, MANY = 320, 3.0, 512
#: What helps a face that is not found in a photo that is worked on with fewer pixels than it has.
CROP = "Crop the picture to the person you mean."
#: Beside a certain face, what is less probable than this is none either (a fold of a suit): true faces come out at 0.99.
DOUBTFUL = 0.97
#: Faces with more overlap than this are one; no more than so many candidates are looked at (a school class).
SAME_FACE = 0.4
MAX_CANDIDATES = 60
#: A face that is found with a higher score is not upside down: such a one came out at 0.90 at most. One on its side came out at
#: 0.93, so it must lean by less than so many radians, too.
UPRIGHT, LEANING = 0.92, np.pi / 3
#: So many pictures are looked at in a file of several (a film that begins in black, a scanner's pages) until there is a face.
FRAMES = 5
#: Where no face is found at first, so many of the likeliest are looked at as perhaps turned far.
MAX_TURNED = 3
#: Then they are looked at with the picture blurred by so many of the landmark network's pixels: the dots of what was printed in
#: a newspaper hide a face from it. Those faces came out at 0.99 and more, detected with 0.69 and more; a cat's at 0.54.
SOFT, DETECTED = 1.5, 0.6


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
        for look in (find_turned, _find_behind_dots):
            results = ((box, look(landmarker, image, box)) for box in likeliest)
            found = [Found(_box(result.landmarks, box), result) for box, result in results if result is not None]
            if found:
                break
    kept: list[Found] = []
    for face in sorted(beyond_doubt(found), key=lambda f: -f.box.score * f.result.presence):
        if all(overlap(face.box, other.box) < SAME_FACE for other in kept):
            kept.append(face)
    return tuple(sorted(kept, key=lambda f: -f.box.width * f.box.height))


def _find_behind_dots(landmarker: Landmarker, image: np.ndarray, box: FaceBox) -> LandmarkResult | None:
    """The landmarks of a certain face in a detected ``box`` of a printed picture; None where there is none."""
    import cv2

    if box.score < DETECTED:
        return None
    first = Roi.from_box(box)
    soft = cv2.GaussianBlur(image, (0, 0), SOFT * max(first.size / INPUT, 1.0))
    result = landmarker.run(soft, Roi.from_landmarks(landmarker.run(soft, first).landmarks))
    return result if result.presence >= DOUBTFUL else None


def find_upright(image: np.ndarray, assets: Path | None = None) -> tuple[int, tuple[Found, ...]]:
    """By how many quarter turns (counter-clockwise) a picture ((H, W, 3) uint8) must be turned to be upright, and its faces.

    The networks see a face in one that is upside down, too, eyes and mouth where there are none. The right way up it is always
    seen best: with 30 photos of real people by 0.014 of score times presence at least.
    """
    found = find_faces(image, assets)
    if any(face.box.score >= UPRIGHT and abs(Roi.from_landmarks(face.result.landmarks).roll_rad) < LEANING for face in found):
        return 0, found
    turned = [found, *(find_faces(np.ascontiguousarray(np.rot90(image, turns)), assets) for turns in (1, 2, 3))]
    seen = [max((face.box.score * face.result.presence for face in faces), default=0.0) for faces in turned]
    turns = int(np.argmax(seen))
    return turns, turned[turns]


def beyond_doubt(found: list[Found]) -> list[Found]:
    """The faces that are certain, or all where none is."""
    certain = [face for face in found if face.result.presence >= DOUBTFUL]
    return certain or found


@dataclass(frozen=True)
class Survey:
    """A photo that was looked at: the file's ``path``, the upright ``image`` ((H, W, 3) uint8) it is worked on with, how it was
    ``decoded`` (:class:`Portrait`), and all faces ``found`` in it, largest first."""

    path: Path
    image: np.ndarray
    decoded: dict[str, Any]
    found: tuple[Found, ...]

    @property
    def faces(self) -> tuple[FaceBox, ...]:
        """Where the faces are."""
        return tuple(face.box for face in self.found)


def survey(path: Path, *, assets: Path | None = None, progress: Progress = silent) -> Survey:
    """Read a photo and find all faces in it, perhaps none.

    Raises
    ------
    PortraitError
        ``unreadable_image``, ``unsupported_format``, ``image_too_large``.
    AssetError
        ``asset_missing``.
    """
    progress(0.0, "Reading the photo")
    image, decoded = decode(path)
    progress(0.3, "Looking for the face")
    seen = _surveyed(path, image, decoded, assets)
    if not seen.found:
        seen = next((later for later in _later(path, assets) if later.found), seen)
    progress(1.0, "Photo read")
    return seen


def _surveyed(path: Path, image: np.ndarray, decoded: dict[str, Any], assets: Path | None, frame: int = 0) -> Survey:
    turns, found = find_upright(image, assets)
    how = {**decoded, "turned_deg": 90 * turns, "frame": frame}
    return Survey(path, np.ascontiguousarray(np.rot90(image, turns)), how, found)


def _later(path: Path, assets: Path | None) -> Iterator[Survey]:
    """The pictures behind the first in a file of several, so far as they are looked at."""
    for frame in range(1, FRAMES):
        try:
            image, decoded = decode(path, frame=frame)
        except PortraitError:
            # There are no more, or this one is damaged: the first is what is told of.
            return
        yield _surveyed(path, image, decoded, assets, frame)


def read_portrait(path: Path, *, face: int | None = None, assets: Path | None = None, progress: Progress = silent) -> Portrait:
    """Read a photo and make a portrait of a face in it: :func:`survey`, then :func:`portrait_of`."""
    return portrait_of(survey(path, assets=assets, progress=progress), face=face, assets=assets)


def portrait_of(seen: Survey, *, face: int | None = None, assets: Path | None = None) -> Portrait:
    """The portrait of one face of a photo.

    Parameters
    ----------
    seen : the photo
    face : int, optional
        Which face, counted from 0 by falling size. Without it a picture with one clearly dominant face is accepted.
    assets : path, optional
        Folder of the fetched models.

    Raises
    ------
    PortraitError
        ``no_face``, ``several_faces`` (a :class:`SeveralFaces` with the boxes), ``face_too_small``, ``face_choice``, and
        those of a file that cannot be read any more.
    """
    chosen = _choose(seen.faces, face, seen.decoded["scale"])
    image, place, result = _looked_at(seen, seen.found[chosen].result, assets)
    if eye_distance(result.landmarks) < MIN_EYE_DISTANCE:
        raise PortraitError(
            "face_too_small",
            f"The face is only {eye_distance(result.landmarks):.0f} pixels from eye to eye.",
            "Use a larger scan or a closer photo.",
        )
    quality, notes = judge(image, result.landmarks, result.presence, seen.faces)
    if seen.decoded["turned_deg"]:
        notes = (*notes, QualityNote("stored_turned", "info", "The photo was not stored upright and has been turned."))
    if seen.decoded["frame"]:
        notes = (*notes, QualityNote("later_picture", "info", "The file's first picture shows no face; a later one was taken."))
    return Portrait(
        image=image,
        size=(seen.image.shape[1], seen.image.shape[0]),
        place=place,
        decoded=seen.decoded,
        faces=seen.faces,
        face=chosen,
        landmarks=result.landmarks,
        presence=result.presence,
        quality=quality,
        notes=notes,
    )


def _looked_at(seen: Survey, result: LandmarkResult, assets: Path | None) -> tuple[np.ndarray, np.ndarray, LandmarkResult]:
    """The picture in which a face is best looked at, what brings its pixels to the photo's (2, 3), and the landmarks there."""
    region = Roi.from_landmarks(result.landmarks)
    if region.size >= FEW or seen.decoded["scale"] >= 1:
        return seen.image, np.eye(2, 3), result
    height, width = seen.image.shape[:2]
    reach = AROUND / 2 * region.size
    low = np.clip([region.cx - reach, region.cy - reach], 0, [width, height])
    high = np.clip([region.cx + reach, region.cy + reach], 0, [width, height])
    part = Part(low[0] / width, low[1] / height, high[0] / width, high[1] / height)
    turns = seen.decoded["turned_deg"] // 90
    image, part = decode_part(seen.path, part, turns, round(AROUND * MANY), frame=seen.decoded["frame"])
    zoom = (part.right - part.left) * width / image.shape[1]
    place = np.array([[zoom, 0, part.left * width], [0, zoom, part.top * height]])
    there = ((result.landmarks - [*place[:, 2], 0]) / zoom).astype(np.float32)
    again = Landmarker(asset_path(LANDMARKS, assets)).run(image, Roi.from_landmarks(there))
    return image, place, again if again.presence >= MIN_PRESENCE else replace(result, landmarks=there)


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
