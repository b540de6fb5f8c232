"""What tests of several rooms share: the fetched model files, and one portrait that may be shown anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from octoprint_facesculpt import assets


@pytest.fixture(scope="session")
def assets_folder() -> Path:
    folder = assets.default_folder()
    missing = [row["name"] for row in assets.status(folder) if not row["present"]]
    if missing:
        pytest.fail(f"{', '.join(missing)} are not in {folder}: run 'python -m octoprint_facesculpt assets fetch'")
    return folder


@pytest.fixture(scope="session")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of scikit-image's portrait of an astronaut (public domain)."""
    import skimage.data
    from PIL import Image

    path = tmp_path_factory.mktemp("photos") / "astronaut.jpg"
    Image.fromarray(skimage.data.astronaut()).save(path, quality=92)
    return path


@pytest.fixture(scope="session")
def head(astronaut: Path, assets_folder: Path):
    """The astronaut's head, reconstructed once for all tests."""
    from octoprint_facesculpt.portrait import read_portrait
    from octoprint_facesculpt.reconstruction import reconstruct

    return reconstruct(read_portrait(astronaut, assets=assets_folder))


@pytest.fixture(scope="session")
def bust(head):
    """A small bust of that head."""
    from octoprint_facesculpt.sculpture import SculptureSettings, sculpt

    return sculpt(head, SculptureSettings(height_mm=40, max_triangles=40_000))
