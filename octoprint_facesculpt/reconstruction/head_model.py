"""The linear head model that travels inside the weights: the statistics of human heads.

``vertices = mean + identity @ w + expression @ e``, with ``w ~ N(0, 1)`` and ``0 <= e <= 1``; derived from
ICT-FaceKit (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; MIT licence).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: Outer corners of the eyes in MediaPipe's numbering: the subject's right, the subject's left.
OUTER_EYE_CORNERS = (33, 263)
#: One in so many vertices tells which shapes are each other's mirror images.
MIRRORED_EVERY = 8


@dataclass(frozen=True)
class Mirror:
    """Which heads are each other's mirror images: every shape of a head model is, up to its sign, the image of one of them.

    ``vertices`` (V,): the number of the vertex on the other side of the head; ``shapes`` (I + E,): the number of the shape that
    is each one's mirror image, ``signs`` (I + E,) times it.
    """

    vertices: np.ndarray
    shapes: np.ndarray
    signs: np.ndarray

    def of(self, coefficients: np.ndarray) -> np.ndarray:
        """Mirrored heads' ``coefficients`` (..., n), all of them or the identity's alone."""
        count = coefficients.shape[-1]
        return (self.signs[:count] * coefficients)[..., self.shapes[:count]]


@dataclass(frozen=True)
class HeadModel:
    """A closed template of head, neck and shoulders with its identity and expression shapes.

    Model frame: millimetres, x to the subject's left, y up, z out of the face.

    Attributes
    ----------
    mean : (V, 3) float32
    identity : (I, V, 3) float32
        One standard deviation per component.
    expression : (E, V, 3) float32
    triangles : (T, 3) int32
        Counter-clockwise from outside; the mouth and the cut below the shoulders are closed by fans, the eyes by
        the front of the eyeballs.
    landmark_vertices, landmark_weights : (478, 3)
        Each MediaPipe landmark as barycentric combination of three vertices.
    face : (V,) bool
        Vertices of the face region, on which accuracy is measured.
    """

    mean: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    triangles: np.ndarray
    landmark_vertices: np.ndarray
    landmark_weights: np.ndarray
    face: np.ndarray

    def vertices(self, coefficients: np.ndarray) -> np.ndarray:
        """The head of ``coefficients`` ((I + E,): identity, then expression) as (V, 3) float32 in the model frame."""
        w = np.asarray(coefficients, np.float32)
        split = len(self.identity)
        shape = np.tensordot(w[:split], self.identity, 1) + np.tensordot(w[split:], self.expression, 1)
        return self.mean + shape

    def landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """The 478 landmark points on ``vertices`` ((V, 3) in any frame) as (478, 3)."""
        return np.einsum("lk,lkd->ld", self.landmark_weights, vertices[self.landmark_vertices])

    def landmark_model(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (478, 3) and shapes (I + E, 478, 3) of the landmark points alone."""
        shapes = np.concatenate([self.identity, self.expression])
        return self.landmarks(self.mean), np.stack([self.landmarks(shape) for shape in shapes])

    @cached_property
    def mirror(self) -> Mirror:
        """What becomes of a head in a mirror; the template is alike on both sides."""
        from scipy.spatial import cKDTree

        flip = np.array([-1, 1, 1], np.float32)
        vertices = cKDTree(self.mean).query(self.mean * flip)[1]
        shapes = np.concatenate([self.identity, self.expression])
        some = slice(None, None, MIRRORED_EVERY)
        here = shapes[:, some].reshape(len(shapes), -1)
        there = (shapes[:, vertices[some]] * flip).reshape(len(shapes), -1)
        alike = (there @ here.T) / np.linalg.norm(here, axis=1)
        images = np.abs(alike).argmax(1)
        return Mirror(vertices, images, np.sign(alike[np.arange(len(shapes)), images]))

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Arrays to store, shapes in half precision (their rounding is below 0.02 mm)."""
        return {
            "head.mean": self.mean.astype(np.float32),
            "head.identity": self.identity.astype(np.float16),
            "head.expression": self.expression.astype(np.float16),
            "head.triangles": self.triangles.astype(np.int32),
            "head.landmark_vertices": self.landmark_vertices.astype(np.int32),
            "head.landmark_weights": self.landmark_weights.astype(np.float32),
            "head.face": self.face.astype(np.uint8),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, np.ndarray]) -> HeadModel:
        """The inverse of :meth:`to_tensors`."""
        return cls(
            mean=tensors["head.mean"].astype(np.float32),
            identity=tensors["head.identity"].astype(np.float32),
            expression=tensors["head.expression"].astype(np.float32),
            triangles=tensors["head.triangles"],
            landmark_vertices=tensors["head.landmark_vertices"],
            landmark_weights=tensors["head.landmark_weights"].astype(np.float32),
            face=tensors["head.face"].astype(bool),
        )
