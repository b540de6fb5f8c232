"""Model files are fetched once, whole, and only if they are what the lock file says."""

from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from octoprint_facesculpt import assets

CONTENT = bytes(range(256)) * 900


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves one archive, with ranges; breaks off after ``cut`` bytes of a first request."""

    archive = b""
    cut: int | None = None
    ranges: list[str] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        type(self).ranges.append(wanted or "")
        self.send_response(206 if wanted else 200)
        body = self.archive[start:]
        if not wanted and self.cut is not None:
            body = body[: self.cut]
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def publisher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Publisher]]:
    bundle = tmp_path / "bundle.task"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("model.tflite", CONTENT)
    data = bundle.read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Publisher.archive, Publisher.cut, Publisher.ranges = data, None, []
    real = next(iter(assets.assets().values()))
    archive_entry = replace(
        real.archive, size=len(data), sha256=hashlib.sha256(data).hexdigest(),
        publisher=f"http://127.0.0.1:{server.server_port}/bundle.task",
    )  # fmt: skip
    known = replace(
        real, name="model", archive=archive_entry, member="model.tflite", size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )  # fmt: skip
    monkeypatch.setattr(assets, "assets", lambda: {"model": known})
    yield Publisher
    server.shutdown()


def test_fetch_puts_the_verified_file_in_place(publisher, tmp_path: Path) -> None:
    folder = tmp_path / "assets"
    seen: list[float] = []
    assets.fetch(folder=folder, source="publisher", progress=lambda fraction, _="": seen.append(fraction))
    assert (folder / "model.tflite").read_bytes() == CONTENT
    assert assets.asset_path("model", folder).name == "model.tflite"
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert [path.name for path in folder.iterdir()] == ["model.tflite"]


def test_an_interrupted_download_goes_on_where_it_stopped(publisher, tmp_path: Path) -> None:
    publisher.cut = 200
    with pytest.raises(assets.AssetError, match="asset_unreachable"):
        assets.fetch(folder=tmp_path / "a", source="publisher")
    assets.fetch(folder=tmp_path / "a", source="publisher")
    assert publisher.ranges == ["", "bytes=200-"]
    assert (tmp_path / "a" / "model.tflite").read_bytes() == CONTENT


def test_another_file_of_the_same_size_is_refused(publisher, tmp_path: Path) -> None:
    publisher.archive = bytes(len(publisher.archive))
    with pytest.raises(assets.AssetError, match="asset_corrupt"):
        assets.fetch(folder=tmp_path / "a", source="publisher")
    assert not list((tmp_path / "a").glob("*.tflite"))


def test_a_given_file_is_taken(publisher, tmp_path: Path) -> None:
    assets.fetch(folder=tmp_path / "a", source=tmp_path / "bundle.task")
    assert (tmp_path / "a" / "model.tflite").read_bytes() == CONTENT
    assert publisher.ranges == []
    assert (tmp_path / "bundle.task").exists()


def test_a_file_that_is_no_archive_is_taken_as_it_is(publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder that holds one of two."""
    packed = assets.assets()["model"]
    digest = hashlib.sha256(CONTENT).hexdigest()
    plain = replace(
        packed, name="plain", member="plain.tflite",
        archive=replace(packed.archive, name="plain", size=len(CONTENT), sha256=digest),
    )  # fmt: skip
    monkeypatch.setattr(assets, "assets", lambda: {"model": packed, "plain": plain})
    source, folder = tmp_path / "downloads", tmp_path / "a"
    source.mkdir()
    (source / "plain.tflite").write_bytes(CONTENT)
    fetched = assets.fetch(folder=folder, source=source)
    assert fetched == [folder / "plain.tflite"] and fetched[0].read_bytes() == CONTENT
    assert (source / "plain.tflite").exists() and not (folder / "model.tflite").exists()


def test_a_folder_with_none_of_them_is_refused(publisher, tmp_path: Path) -> None:
    with pytest.raises(assets.AssetError, match="asset_corrupt"):
        assets.fetch(folder=tmp_path / "a", source=tmp_path / "nowhere")
    (tmp_path / "bundle.task").write_bytes(b"another")
    with pytest.raises(assets.AssetError, match="asset_corrupt"):
        assets.fetch(folder=tmp_path / "b", source=tmp_path / "bundle.task")


def test_nothing_is_fetched_twice(publisher, tmp_path: Path) -> None:
    assets.fetch(folder=tmp_path / "a", source="publisher")
    assets.fetch(folder=tmp_path / "a", source="publisher")
    assert len(publisher.ranges) == 1


def test_a_damaged_file_counts_as_missing(publisher, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"short")
    with pytest.raises(assets.AssetError, match="asset_missing"):
        assets.asset_path("model", tmp_path)
    assert assets.status(tmp_path)[0]["present"] is False


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(assets.AssetError, match="asset_unknown"):
        assets.fetch(["nonsense"], folder=tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_called_so(publisher, tmp_path: Path) -> None:
    (tmp_path / f"{assets.assets()['model'].archive.name}.part").symlink_to("/dev/full")
    with pytest.raises(assets.AssetError, match="disk_full"):
        assets.fetch(folder=tmp_path, source="publisher")


def test_a_folder_that_cannot_be_had_is_called_so(publisher, tmp_path: Path) -> None:
    (tmp_path / "assets").write_text("in the way")
    with pytest.raises(assets.AssetError, match="output_unwritable"):
        assets.fetch(folder=tmp_path / "assets")


def test_an_archive_that_is_none_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "package.whl").write_text("<html>Log in to this network</html>")
    with pytest.raises(assets.AssetError, match="asset_corrupt"):
        assets._unpack(tmp_path / "package.whl", "model", 5, tmp_path / "model")
