"""What a photo shows of a face is found where it is: gaze, brows, creases and teeth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from octoprint_facesculpt.reconstruction.face_map import BROWS, EYES, IRISES, LIPS, FaceMap
from octoprint_facesculpt.reconstruction.head import MAP_STEP, MAP_TOP_LEFT, Head, Relief
from octoprint_facesculpt.reconstruction.relief import relief_of
from octoprint_facesculpt.sculpture.settings import MAX_DETAIL

CHEEK, BELOW, FOREHEAD = 50, 205, [10, 151]


@pytest.fixture(scope="module")
def portrait(astronaut: Path, assets_folder: Path):
    from octoprint_facesculpt.portrait import read_portrait

    return read_portrait(astronaut, assets=assets_folder)


@pytest.fixture(scope="module")
def face(portrait, head) -> FaceMap:
    return FaceMap(portrait.landmarks[:, :2], head)


def around(relief: Relief, place: np.ndarray, mm: float) -> np.ndarray:
    """Heights within some mm of a column and row."""
    rows, columns = np.indices(relief.height.shape)
    return relief.height[np.hypot(columns - place[0], rows - place[1]) * MAP_STEP < mm]


def test_the_pupils_are_drilled_where_the_photo_shows_them(portrait, head, face) -> None:
    assert head.relief is not None
    for iris, lids in zip(IRISES, EYES, strict=True):
        place = face.place_of(face.seen[iris])
        assert around(head.relief, place, 2.0).min() < -1.5
        corner = (face.places[lids[0]] + face.places[lids[8]]) / 2 - place
        assert np.linalg.norm(corner) * MAP_STEP < 6
        # Whoever looks elsewhere is drilled elsewhere.
        seen = portrait.landmarks.copy()
        seen[iris, 0] += 0.25 * (seen[lids[8], 0] - seen[lids[0], 0])
        moved = relief_of(replace(portrait, landmarks=seen), head)
        deepest = [one.height[boxed(face, lids)].min(0).argmin() for one in (head.relief, moved)]
        assert (deepest[1] - deepest[0]) * np.sign(face.places[lids[8], 0] - face.places[lids[0], 0]) * MAP_STEP > 3


def boxed(face: FaceMap, points: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns around some landmarks."""
    low, high = face.places[list(points)].min(0).astype(int), face.places[list(points)].max(0).astype(int) + 1
    return slice(low[1], high[1]), slice(low[0], high[0])


def test_closed_eyes_are_not_drilled(portrait, head) -> None:
    landmarks = head.landmarks.copy()
    for lids in EYES:
        landmarks[list(lids[9:])] = landmarks[list(lids[7:0:-1])] + np.float32([0, 0.5, 0])
    relief = relief_of(portrait, replace(head, landmarks=landmarks))
    assert relief.height.min() > -1.2


def test_dark_brows_stand_out(face, head) -> None:
    for brow in BROWS:
        inside = face.region(brow) > 0.5
        assert np.quantile(head.relief.height[inside], 0.9) > 0.2


def test_a_dark_line_on_the_cheek_is_a_crease_and_a_bright_one_is_none(portrait, head, face) -> None:
    begin, end = (tuple(np.rint(portrait.landmarks[one, :2]).astype(int).tolist()) for one in (CHEEK, BELOW))
    middle = (face.places[CHEEK] + face.places[BELOW]) / 2
    depths = []
    for colour in ((60, 40, 30), (250, 240, 230)):
        image = portrait.image.copy()
        cv2.line(image, begin, end, colour, 2)
        relief = relief_of(replace(portrait, image=image), head)
        heights = around(relief, middle, 1.5)
        depths.append(heights.min() if colour[0] < 100 else heights.max())
    assert depths[0] < -0.5 and 0 < depths[1] < 0.4


def test_hair_over_the_forehead_makes_no_creases(portrait, head, face) -> None:
    image = portrait.image.copy()
    brow = portrait.landmarks[list(BROWS[0] + BROWS[1]), 1].min()
    top, left, right = (portrait.landmarks[one] for one in (10, 103, 332))
    for column in range(int(left[0]), int(right[0]), 3):
        shade = 20 if column % 2 else 70
        cv2.line(image, (column, int(top[1]) - 30), (column, int(brow) - 8), (shade, shade, shade), 2)
    relief = relief_of(replace(portrait, image=image), head)
    assert np.abs(around(relief, face.places[FOREHEAD].mean(0), 5.0)).mean() < 0.05


def test_what_covers_a_mouth_is_not_carved(portrait, head, face) -> None:
    relief = relief_of(portrait, head, covered=True)
    below = face.grid[..., 1] > face.places[2, 1] + 8 / MAP_STEP
    assert np.abs(head.relief.height[below]).max() > 0.5 and np.abs(relief.height[below]).max() == 0
    assert not np.isfinite(relief.teeth).any()
    eyes = face.grid[..., 1] < face.places[2, 1] - 10 / MAP_STEP
    assert np.abs(relief.height[eyes] - head.relief.height[eyes]).mean() < 0.02


def test_what_the_photo_does_not_show_is_left_smooth(head) -> None:
    """Of a face turned by 70 degrees the far cheek is not seen."""
    c, s = np.cos(np.radians(70)), np.sin(np.radians(70))
    turned = head.landmarks @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    scale = head.pixels_per_mm()
    face = FaceMap(turned[:, :2] * [scale, -scale] + 300, head)
    near, far = (50, 280) if turned[50, 2] > turned[280, 2] else (280, 50)
    visible = face.visible()
    shown = [visible[tuple(np.rint(face.places[one, ::-1]).astype(int))] for one in (near, far)]
    assert shown[0] > 0.9 and shown[1] < 0.05


def test_a_smile_shows_its_teeth_and_a_dark_mouth_none(portrait, head, face) -> None:
    there = np.isfinite(head.relief.teeth)
    assert there.sum() * MAP_STEP**2 > 100
    mouth = face.surface(LIPS) < face.front - 2.5
    behind = (face.front - head.relief.teeth)[there & mouth]
    assert 3 < np.median(behind) < 5 and behind.max() < 13
    # Under the lips they stay under them.
    lips = there & ~mouth
    assert (head.relief.teeth[lips] < face.surface(LIPS)[lips] - 1.5).all()
    image = portrait.image.copy()
    cv2.fillPoly(image, [np.rint(portrait.landmarks[[78, 81, 13, 311, 308, 402, 14, 178], :2]).astype(np.int32)], (20, 10, 10))
    assert not np.isfinite(relief_of(replace(portrait, image=image), head).teeth).any()


def test_a_relief_folds_no_surface(head) -> None:
    """The space around the face is moved one to one, also by the most that can be asked for."""
    vertices = head.vertices.astype(np.float64)
    vertices = vertices[np.abs(head.relief.heights(vertices)) > 0.01]
    step = 0.05
    change = [
        (head.relief.moved(vertices + step * axis, MAX_DETAIL) - head.relief.moved(vertices - step * axis, MAX_DETAIL))
        for axis in np.eye(3)
    ]
    assert len(vertices) > 2000 and np.linalg.det(np.stack(change, 2) / (2 * step)).min() > 0


def test_only_the_front_of_the_face_is_moved(head) -> None:
    heights = np.abs(head.relief.heights(head.vertices.astype(np.float64)))
    behind = head.vertices[:, 2] < -60
    assert heights.max() > 1 and heights[behind].max() == 0
    beside = head.relief.heights(np.array([[MAP_TOP_LEFT[0] - 20, 0, 0], [0, 300, 0], [0, -50, 500.0]]))
    assert np.abs(beside[:2]).max() == 0


def test_a_head_keeps_its_relief_in_its_file(head, tmp_path: Path) -> None:
    head.save(tmp_path / "head.npz")
    loaded = Head.load(tmp_path / "head.npz")
    for name in ("height", "front", "teeth"):
        np.testing.assert_array_equal(getattr(loaded.relief, name), getattr(head.relief, name))
    replace(head, relief=None).save(tmp_path / "smooth.npz")
    assert Head.load(tmp_path / "smooth.npz").relief is None


def test_a_relief_of_another_shape_is_no_head(head, tmp_path: Path) -> None:
    relief = Relief(*(part[:9] for part in (head.relief.height, head.relief.front, head.relief.teeth)))
    replace(head, relief=relief).save(tmp_path / "head.npz")
    with pytest.raises(ValueError, match="relief"):
        Head.load(tmp_path / "head.npz")


def test_a_head_of_before_has_none(head, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "head.npz",
        vertices=head.vertices, triangles=head.triangles, landmarks=head.landmarks, projection=head.projection,
    )  # fmt: skip
    assert Head.load(tmp_path / "head.npz").relief is None
