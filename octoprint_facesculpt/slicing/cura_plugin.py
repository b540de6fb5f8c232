"""CuraEngine in OctoPrint's own slicing dialog: a second, small plugin, because a plugin can be only one slicer."""

from typing import Any

from .plugin import FaceSculptSlicer

__plugin_name__ = "FaceSculpt: CuraEngine"
__plugin_description__ = "Lets OctoPrint's own slicing dialog slice with CuraEngine; set up by FaceSculpt"
__plugin_pythoncompat__ = ">=3.11,<4"
__plugin_implementation__: Any = None


class CuraSlicer(FaceSculptSlicer):
    """CuraEngine with the bust profiles."""

    engine_name = "curaengine"


def __plugin_load__():
    global __plugin_implementation__
    __plugin_implementation__ = CuraSlicer()
