"""Files of which one may have a hundred megabytes, from the disk to the client piece by piece: what Flask gives out is held in
memory whole."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from octoprint.server.util.tornado import LargeResponseHandler
from tornado.web import HTTPError, StaticFileHandler

from .errors import FaceSculptError
from .refusals import explained, status_of

_logger = logging.getLogger(__name__)
#: Codes of the refusals that come from OctoPrint, Flask and Tornado.
STATUS_CODES = {400: "bad_request", 403: "forbidden", 404: "not_found", 500: "internal_error"}


@dataclass(frozen=True)
class Download:
    """A ``file``, the ``name`` under which it is saved (None: the browser shows it), and further ``headers``."""

    file: Path
    name: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def private(versioned: bool) -> dict[str, str]:
    """Headers of what is made of a portrait, which is personal: no proxy may keep it. Only an address that names a version
    always has the same content."""
    kept = "private, max-age=3600" if versioned else "private, no-cache"
    return {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}


def refusal(error: FaceSculptError) -> dict[str, dict[str, str]]:
    """The body of an answer that refuses."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


class DownloadHandler(LargeResponseHandler):
    """Gives out the :class:`Download` that ``find(*names, versioned)`` finds for what its address names, to whom ``admit``
    admits; both may take their time, or raise: a :class:`FaceSculptError` is answered as everywhere."""

    def initialize(self, admit: Callable[[Any], None], find: Callable[..., Download]) -> None:
        super().initialize("/", etag_generator=_version)
        self._admit, self._find = admit, find

    def head(self, *names: str):
        return self.get(*names, include_body=False)

    async def get(self, *names: str, include_body: bool = True) -> None:  # type: ignore[override]
        versioned = "v" in self.request.arguments

        def look_up() -> Download:
            self._admit(self.request)
            return self._find(*names, versioned=versioned)

        try:
            # The database may be busy, and this is the thread on which everybody waits.
            found = await asyncio.get_running_loop().run_in_executor(None, look_up)
        except HTTPError:
            raise
        except Exception as error:
            if not isinstance(error, FaceSculptError):
                _logger.error("a download failed: %s", self.request.path, exc_info=error)
            error = explained(error)
            self.set_status(status_of(error))
            self.finish(refusal(error))
            return
        self._as_attachment, self._name_generator = found.name is not None, lambda _: found.name
        self._added = found.headers
        await StaticFileHandler.get(self, str(found.file), include_body)

    def get_cache_time(self, *_: Any) -> int:
        return 0  # Tornado's own idea of how long

    def set_extra_headers(self, path: str) -> None:
        super().set_extra_headers(path)
        for name, value in self._added.items():
            self.set_header(name, value)

    def write_error(self, status_code: int, **_: Any) -> None:
        code = STATUS_CODES.get(status_code, "refused")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(refusal(FaceSculptError(code, self._reason))))


def _version(handler: DownloadHandler) -> str:
    about = Path(handler.absolute_path).stat()
    return f'"{about.st_mtime_ns:x}-{about.st_size:x}"'
