"""The command ``slice`` as the plugin's jobs run it, for what is measured of it."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """The options that all of these have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("model", type=Path)
    made.add_argument("--profile", default="bust_016")
    made.add_argument("--repeats", type=int, default=repeats)
    return made


def arguments(engine: str, model: Path, profile: str, folder: Path) -> list[str]:
    """The command's arguments; G-code and index go into ``folder``."""
    files = [str(model), "-o", str(folder / "bust.gcode"), "--index", str(folder / "index.json")]
    return ["slice", *files, "--engine", engine, "--profile", profile]
