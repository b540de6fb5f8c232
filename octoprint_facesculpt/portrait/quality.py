"""What about a photo the sculpture will suffer from, said before a day of printing."""

from __future__ import annotations

import numpy as np

from .portrait import FaceBox, QualityNote

#: Landmarks: the outer eye corners.
RIGHT_EYE, LEFT_EYE = 33, 263
#: What each severity takes off the score.
PENALTY = {"info": 0.03, "warning": 0.18, "error": 0.4}
#: Grey levels by which a face varies, and variance of its Laplacian where it varies so much, below which it has little contrast
#: and is blurred. With less contrast edges are weaker, too, and a dark or faded photo is as sharp as it was.
CONTRAST, SHARPNESS = 14.0, 15.0
#: What is said where something covers part of the face.
COVERED = QualityNote("occluded", "warning", "Part of the face may be covered.")


def judge(
    image: np.ndarray, landmarks: np.ndarray, presence: float, faces: tuple[FaceBox, ...]
) -> tuple[float, tuple[QualityNote, ...]]:
    """Score (0..1) and notes of a face; ``landmarks`` (478, 3) in pixels of ``image`` (H, W, 3), with which it is worked on."""
    notes = [*_frame(image, landmarks), *_size(landmarks), *_pose(landmarks), *_light(image, landmarks)]
    if presence < 0.9:
        notes.append(COVERED)
    if len(faces) > 1:
        notes.append(QualityNote("several_faces", "info", f"There are {len(faces)} faces; one of them was chosen."))
    score = 1.0
    for note in notes:
        score *= 1 - PENALTY[note.severity]
    return score, tuple(notes)


def yaw_deg(landmarks: np.ndarray) -> float:
    """How far the head is turned, degrees, positive to the subject's left; from the eyes' depth difference."""
    across = landmarks[LEFT_EYE] - landmarks[RIGHT_EYE]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def eye_distance(landmarks: np.ndarray) -> float:
    """Distance of the outer eye corners in pixels, foreshortening undone."""
    return float(np.linalg.norm(landmarks[LEFT_EYE] - landmarks[RIGHT_EYE]))


def _frame(image: np.ndarray, landmarks: np.ndarray) -> list[QualityNote]:
    height, width = image.shape[:2]
    x, y = landmarks[:, 0], landmarks[:, 1]
    outside = ((x < 0) | (y < 0) | (x > width) | (y > height)).mean()
    if outside > 0.02:
        return [QualityNote("cropped", "warning", "The picture cuts off part of the face.")]
    return []


def _size(landmarks: np.ndarray) -> list[QualityNote]:
    distance = eye_distance(landmarks)
    if distance < 45:
        return [QualityNote("low_resolution", "warning", "The face is small in the picture; details are guessed.")]
    if distance < 80:
        return [QualityNote("low_resolution", "info", "A larger picture of the face would give finer details.")]
    return []


def _pose(landmarks: np.ndarray) -> list[QualityNote]:
    yaw = abs(yaw_deg(landmarks))
    if yaw > 55:
        return [QualityNote("profile_view", "warning", "The face is seen from the side; its far half is guessed.")]
    if yaw > 30:
        return [QualityNote("turned", "info", "The face is turned; one side is seen better than the other.")]
    return []


def _light(image: np.ndarray, landmarks: np.ndarray) -> list[QualityNote]:
    import cv2

    height, width = image.shape[:2]
    low = np.floor(landmarks[:468, :2].min(0)).clip(0).astype(int)
    high = np.ceil(landmarks[:468, :2].max(0)).clip(0, [width, height]).astype(int)
    if (high - low).min() < 8:
        return []
    face = cv2.cvtColor(image[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY)
    face = cv2.resize(face, (160, 160), interpolation=cv2.INTER_AREA)
    notes = []
    if face.mean() < 45:
        notes.append(QualityNote("dark", "warning", "The face is very dark."))
    elif (face > 250).mean() > 0.2:
        notes.append(QualityNote("overexposed", "warning", "Parts of the face are blown out to white."))
    contrast = float(face.std())
    if contrast < CONTRAST:
        notes.append(QualityNote("low_contrast", "warning", "The face has little contrast."))
    if cv2.Laplacian(face, cv2.CV_64F).var() < SHARPNESS * min(1.0, contrast / CONTRAST) ** 2:
        notes.append(QualityNote("blurred", "warning", "The face is blurred."))
    return notes
