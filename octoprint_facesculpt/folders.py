"""Where files lie that are fetched or unpacked once, beside the plugin itself."""

from __future__ import annotations

import os
from pathlib import Path

#: Where the server has its model files, in OctoPrint's own commands.
server: Path | None = None


def default_folder() -> Path:
    """Where assets lie unless a call says otherwise: ``$FACESCULPT_ASSETS`` or a folder of the user's cache."""
    named = os.environ.get("FACESCULPT_ASSETS")
    return Path(named) if named else user_folder()


def fetched_folder() -> Path:
    """Where a command fetches model files to: where the server looks for them, if it has one."""
    return server if server is not None and "FACESCULPT_ASSETS" not in os.environ else default_folder()


def user_folder() -> Path:
    """Our folder in the user's cache."""
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache_home / "octoprint-facesculpt"
