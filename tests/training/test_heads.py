"""Random people: their expressions are mild, or they make a face."""

from __future__ import annotations

import numpy as np
import pytest

STEMS = (
    "browDown", "browInnerUp", "browOuterUp", "cheekPuff", "cheekRaiser", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn",
    "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress",
    "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer", "PupilDilate",
)  # fmt: skip
SINGLE = (
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel", "mouthLeft", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip
NAMES = (*(stem + side for stem in STEMS for side in ("_L", "_R")), *SINGLE)


@pytest.fixture
def heads():
    """The module under test."""
    import heads

    return heads


def drawn(heads, grimacing: float, count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """Identities and expressions without the gaze."""
    rng = np.random.default_rng(0)
    every = np.stack([heads.random_coefficients(rng, NAMES, grimacing) for _ in range(count)])
    kept = [not name.startswith("eyeLook") for name in NAMES]
    return every[:, :100], every[:, 100:][:, kept]


def test_who_makes_a_face_moves_more_of_it_and_further(heads) -> None:
    mild, grimaces = drawn(heads, 0.0)[1], drawn(heads, 1.0)[1]
    assert min(mild.min(), grimaces.min()) >= 0 and max(mild.max(), grimaces.max()) <= 1
    assert (grimaces > 0.3).sum(1).mean() > 2 * (mild > 0.3).sum(1).mean()


def test_only_the_share_that_is_asked_for_makes_a_face(heads) -> None:
    none, some, all_ = ((drawn(heads, share)[1] > 0.3).sum(1).mean() for share in (0.0, 0.3, 1.0))
    assert (some - none) / (all_ - none) == pytest.approx(0.3, abs=0.08)


def test_identities_do_not_depend_on_it(heads) -> None:
    for share in (0.0, 1.0):
        identity = drawn(heads, share)[0]
        assert identity.std() == pytest.approx(1.05, abs=0.05) and abs(identity.mean()) < 0.02


def test_a_mouth_uses_every_movement_there_is(heads) -> None:
    assert all(name in NAMES or name + "_L" in NAMES for name in heads.MOUTHS)
    _, expression = drawn(heads, 1.0, 1000)
    names = [name for name in NAMES if not name.startswith("eyeLook")]
    for mouth in heads.MOUTHS:
        columns = [number for number, name in enumerate(names) if name in (mouth, mouth + "_L")]
        assert (expression[:, columns] > 0.2).any()
