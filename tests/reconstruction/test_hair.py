"""Hair is found where the photo shows it, and stands out of the head as far as its outline does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, gaussian_filter

from octoprint_facesculpt.portrait.matte import INPUT, matte_of
from octoprint_facesculpt.rasterise import rasterise
from octoprint_facesculpt.reconstruction import reconstruct, reconstruct_together
from octoprint_facesculpt.reconstruction.around import SHAPE, STEP, UPPER, Around
from octoprint_facesculpt.reconstruction.face_map import OVAL
from octoprint_facesculpt.reconstruction.hair import _in_one as in_one
from octoprint_facesculpt.reconstruction.hair import hair_of, without_ears
from octoprint_facesculpt.reconstruction.hair_mask import MM, View, hair_mask
from octoprint_facesculpt.reconstruction.hair_mask import _whole as whole
from octoprint_facesculpt.reconstruction.head import Hair, Head
from octoprint_facesculpt.reconstruction.reporting import notes_on


@pytest.fixture(scope="module")
def portrait(astronaut: Path, assets_folder: Path):
    from octoprint_facesculpt.portrait import read_portrait

    return read_portrait(astronaut, assets=assets_folder)


@pytest.fixture(scope="module")
def view(portrait, head) -> View:
    return View.of(portrait, head)


@pytest.fixture(scope="module")
def mirrored(astronaut: Path, assets_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """The portrait in a mirror."""
    from PIL import Image, ImageOps

    from octoprint_facesculpt.portrait import read_portrait

    path = tmp_path_factory.mktemp("mirror") / "astronaut.png"
    ImageOps.mirror(Image.open(astronaut)).save(path)
    return read_portrait(path, assets=assets_folder)


def bald_picture(portrait, head):
    """The portrait with a crown of skin in front of a plain wall."""
    image = portrait.image.copy()
    seen = head.project(head.vertices)
    towards = head.vertices @ head.towards_camera()
    height, width = image.shape[:2]
    bald = rasterise(np.c_[seen, towards], head.triangles, width, height)
    places = bald.interpolate(head.triangles, head.vertices)
    oval = np.zeros((height, width), np.uint8)
    around = cv2.convexHull(portrait.landmarks[list(OVAL), :2].astype(np.float32))
    cv2.fillConvexPoly(oval, np.rint(around).astype(np.int32), 1)
    low = np.arange(height)[:, None] > portrait.landmarks[152, 1]
    image[(bald.triangle < 0) & ~low & (oval == 0)] = (190, 200, 210)
    cheek = portrait.landmarks[50, :2].astype(int)
    skin = np.median(portrait.image[cheek[1] - 6 : cheek[1] + 6, cheek[0] - 6 : cheek[0] + 6], (0, 1))
    brows = portrait.landmarks[[105, 334], 1].min()
    shade = np.clip(0.75 + 0.3 * (places[..., 2] + 100) / 100, 0.6, 1.0)[..., None]
    crown = (bald.triangle >= 0) & ((np.arange(height)[:, None] < brows - 4) | (oval == 0)) & ~low
    image[crown] = np.clip(skin * shade, 0, 255)[crown].astype(np.uint8)
    return replace(portrait, image=cv2.GaussianBlur(image, (0, 0), 0.8))


def outline(view: View, head: Head, *meshes: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """What meshes cover in the view (INPUT, INPUT)."""
    covered = np.zeros((INPUT, INPUT), bool)
    for vertices, triangles in meshes:
        seen = view.pixels(head, vertices)
        covered |= rasterise(np.c_[seen, vertices @ head.towards_camera()], triangles, INPUT, INPUT).triangle >= 0
    return covered


def test_the_person_is_told_from_what_is_behind(view) -> None:
    matte = matte_of(view.picture)
    assert matte.shape == (INPUT, INPUT) and matte.min() >= 0 and matte.max() <= 1
    assert matte[view.within(OVAL, -3)].min() > 0.9
    assert matte[: INPUT // 4, : INPUT // 4].max() < 0.1


def test_hair_is_hair_and_not_face_nor_clothes(view) -> None:
    mask = hair_mask(view)
    crown = view.landmarks[10].astype(int) - (0, round(45 / MM))
    assert mask[crown[1] - 4 : crown[1] + 4, crown[0] - 10 : crown[0] + 10].mean() > 0.9
    face = view.within(OVAL, -4) & (view.rows > view.brows + 4)
    assert mask[face].mean() < 0.01
    assert mask[view.rows > view.chin + 20 / MM].mean() == 0
    # She has it on both sides, as far down as her ears.
    ears = slice(*(view.landmarks[[234, 454], 1].mean() + np.array([-8, 0])).astype(int))
    assert mask[ears, : INPUT // 2].any() and mask[ears, INPUT // 2 :].any()


def test_a_neighbour_a_thread_and_a_hole_are_left_out() -> None:
    mask, taught = np.zeros((INPUT, INPUT), bool), np.zeros((INPUT, INPUT), bool)
    mask[40:100, 60:160] = taught[40:80, 60:160] = True
    mask[70:75, 100:105] = False
    # A shoulder that a thread joins to it.
    mask[130:170, 60:100] = mask[100:130, 80:83] = True
    found = whole(mask, taught)
    assert found[50:90, 70:150].all() and not found[105:].any()


def test_hair_has_neither_slits_nor_crumbs() -> None:
    covered = np.zeros(SHAPE)
    covered[:60] = 1.0
    covered[20:60, 100:105] = 0.0
    covered[90:100, 200:212] = 1.0
    one = in_one(covered) > 0.5
    assert one[30:50, 90:115].all() and not one[70:].any()
    assert not one[60:].any() and one[:60, [0, -1]].all()


def test_the_head_has_the_outline_of_the_photo(view, head) -> None:
    # Below it the suit's collar is wider than she.
    above = (view.rows < view.landmarks[[234, 454], 1].mean() + 10 / MM) & view.known
    person = view.person & above
    bald, whole = (
        outline(view, head, *meshes) & above
        for meshes in ([(head.vertices, head.triangles)], [(head.vertices, head.triangles), head.hair.mesh()])
    )
    alike = [(one & person).sum() / (one | person).sum() for one in (bald, whole)]
    assert alike[0] < 0.7 and alike[1] > 0.94


def test_the_face_stays_free(view, head) -> None:
    vertices, triangles = head.hair.mesh()
    face = outline(view, head, (head.vertices, head.triangles)) & view.within(OVAL, -4) & (view.rows > view.brows + 6)
    seen = view.pixels(head, vertices)
    hair = rasterise(np.c_[seen, vertices @ head.towards_camera()], triangles, INPUT, INPUT)
    bare = rasterise(
        np.c_[view.pixels(head, head.vertices), head.vertices @ head.towards_camera()], head.triangles, INPUT, INPUT
    )
    assert (hair.depth < bare.depth)[face].mean() > 0.99


def test_hair_begins_thin_around_the_face(head) -> None:
    around = Around(head.hair.middle)
    height = head.hair.reach - around.outermost(head.vertices, head.triangles)
    inside = distance_transform_edt(height > 0) * STEP
    front = (np.abs(around.turn) < 60)[None] & (np.arange(SHAPE[0]) < UPPER + 5)[:, None]
    at_edge = height[front & (inside > 0) & (inside < 2.1)]
    # No ledge; further up it is thick all the same.
    assert np.median(at_edge) < 1.5
    assert np.median(height[front & (inside > 20)]) > 10


def test_strands_end_in_different_places_and_stand_out_of_hair(head) -> None:
    around = Around(head.hair.middle)
    reach = head.hair.reach[: UPPER + 10]
    # As against the same mass without them.
    relief = (reach - gaussian_filter(reach, 6 / STEP, mode=("nearest", "wrap")))[UPPER // 2 : UPPER]
    back = np.abs(around.turn) > 120
    assert 0.3 < relief[:, back].std() < 1.0
    ends = (head.hair.reach > around.outermost(head.vertices, head.triangles))[:, np.abs(around.turn) < 25]
    lowest = SHAPE[0] - 1 - ends[::-1].argmax(0)
    edge = lowest * STEP - np.polyval(np.polyfit(np.arange(len(lowest)), lowest * STEP, 3), np.arange(len(lowest)))
    assert 0.4 < edge.std() < 4


def test_hair_is_no_finer_a_mesh_than_it_needs(head) -> None:
    from octoprint_facesculpt.sculpture import SculptureSettings
    from octoprint_facesculpt.sculpture.shaping import _whole as solid_head

    bald, with_hair = (solid_head(one, SculptureSettings()).num_tri() for one in (replace(head, hair=None), head))
    # Its map has twice as many triangles as places.
    assert with_hair - bald < np.prod(SHAPE) / 3


def test_where_there_is_no_hair_none_is_made(portrait, head) -> None:
    assert hair_of(bald_picture(portrait, head), head) is None


def test_hair_of_a_mirrored_photo_is_mirrored(mirrored, head) -> None:
    there = reconstruct(mirrored)
    assert there.hair is not None
    apart = np.abs(there.hair.reach[:, ::-1] - head.hair.reach)[:UPPER]
    assert np.median(apart) < 1.5


def test_hair_of_a_head_that_ends_high_is_a_mesh_all_the_same(portrait, head) -> None:
    from octoprint_facesculpt.sculpture.shaping import solid_of

    cut = solid_of(head.vertices.astype(np.float64), head.triangles).trim_by_plane((0.0, 1.0, 0.0), -110.0).to_mesh()
    short = replace(
        head, vertices=np.asarray(cut.vert_properties[:, :3], np.float32), triangles=np.asarray(cut.tri_verts, np.int32)
    )
    hair = hair_of(portrait, short)
    assert hair is not None and hair.reach.min() > 0


def test_an_ear_is_no_skull(head) -> None:
    around = Around(np.array([0.0, 10.0, head.landmarks[[234, 454], 2].mean() - 12]))
    outermost = around.outermost(head.vertices, head.triangles)
    skull = without_ears(around, outermost)
    ears = (np.abs(np.abs(around.turn) - 100) < 20)[None] & (np.abs(around.down - np.pi / 2 * 100 - 25) < 30)[:, None]
    assert (outermost - skull)[ears].max() > 10
    assert np.abs(np.diff(skull, axis=1))[:, 1:][ears[:, 2:]].max() < 4
    crown = slice(5, UPPER - 25)
    assert np.abs(outermost - skull)[crown].max() < 2


def test_several_photos_have_the_hair_of_the_first(portrait, mirrored, head) -> None:
    together = reconstruct_together([portrait, mirrored])
    assert together.hair is not None
    assert np.median(np.abs(together.hair.reach - head.hair.reach)[:UPPER]) < 3


def test_a_bare_head_is_the_same_head(portrait, head) -> None:
    bare = reconstruct(portrait, detailed=False)
    assert bare.hair is None and bare.relief is None
    np.testing.assert_array_equal(bare.vertices, head.vertices)


def test_without_the_model_the_head_is_bald_and_says_so(portrait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESCULPT_ASSETS", str(tmp_path))
    head = reconstruct(portrait)
    assert head.hair is None and head.relief is not None
    assert "no_hair" in {note.code for note in notes_on(portrait, head)}


def test_nothing_is_said_of_hair_that_was_looked_for(portrait, head) -> None:
    assert "no_hair" not in {note.code for note in notes_on(portrait, head)}


def test_a_head_keeps_its_hair_in_its_file(head, tmp_path: Path) -> None:
    head.save(tmp_path / "head.npz")
    loaded = Head.load(tmp_path / "head.npz")
    np.testing.assert_array_equal(loaded.hair.reach, head.hair.reach)
    np.testing.assert_array_equal(loaded.hair.middle, head.hair.middle)
    replace(head, hair=None).save(tmp_path / "bald.npz")
    assert Head.load(tmp_path / "bald.npz").hair is None


@pytest.mark.parametrize(
    "hair", [Hair(np.ones(SHAPE, np.float32)[:9], np.zeros(3)), Hair(np.ones(SHAPE, np.float32), np.zeros(2))]
)
def test_hair_of_another_shape_is_no_head(head, hair, tmp_path: Path) -> None:
    replace(head, hair=hair).save(tmp_path / "head.npz")
    with pytest.raises(ValueError, match="hair"):
        Head.load(tmp_path / "head.npz")


def test_the_camera_is_where_the_photo_was_taken_from(head) -> None:
    camera = head.camera()
    assert np.linalg.norm(camera) == pytest.approx(head.details["camera_distance_mm"], rel=0.15)
    np.testing.assert_allclose(camera / np.linalg.norm(camera), head.towards_camera(), atol=1e-6)
    assert head.towards_camera()[2] > 0.9
    # What lies in the line of sight is seen in one place.
    way = head.project(np.outer([0.0, 50.0, 150.0], head.towards_camera()))
    np.testing.assert_allclose(way - way[0], 0, atol=1e-6)


def test_a_photo_without_perspective_has_hair_too(portrait, head) -> None:
    scale = head.pixels_per_mm()
    right, down, middle = np.array([scale, 0, 0]), np.array([0, -scale, 0]), head.project(np.zeros((1, 3)))[0]
    flat = replace(head, projection=np.vstack([[*right, middle[0]], [*down, middle[1]], [0, 0, 0, 1.0]]))
    np.testing.assert_allclose(flat.towards_camera(), [0, 0, 1])
    hair = hair_of(portrait, flat)
    assert hair is not None
    assert np.median(np.abs(hair.reach - head.hair.reach)[:UPPER]) < 4
