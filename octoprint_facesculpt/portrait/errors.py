"""Why a photo cannot be used."""

from __future__ import annotations

from ..errors import FaceSculptError
from .portrait import FaceBox


class PortraitError(FaceSculptError):
    """Codes: ``unreadable_image``, ``unsupported_format``, ``image_too_large``, ``no_face``, ``several_faces``,
    ``face_too_small``, ``face_choice``."""


class SeveralFaces(PortraitError):
    """More than one face could be meant; ``faces`` lists them, largest first, for the user to choose."""

    def __init__(self, faces: tuple[FaceBox, ...]) -> None:
        super().__init__(
            "several_faces",
            f"There are {len(faces)} faces in this picture.",
            "Choose one of them, or crop the picture to the person you mean.",
        )
        self.faces = faces
