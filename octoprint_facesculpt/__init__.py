"""OctoPrint-FaceSculpt: a photo of a face becomes a printed bust.

This file only tells OctoPrint what the plugin is and where its hooks are. The rooms ``portrait``, ``reconstruction``,
``sculpture`` and ``slicing`` can be used as a library without OctoPrint.
"""

from typing import Any

__plugin_name__ = "FaceSculpt"
__plugin_pythoncompat__ = ">=3.11,<4"
__plugin_implementation__: Any = None
__plugin_hooks__: dict[str, Any] = {}


def __plugin_load__():
    # Late, so that the library rooms and the children do not import OctoPrint.
    from .cli import octoprint_commands
    from .permissions import permissions
    from .plugin import FaceSculptPlugin, backup_excludes, body_size

    global __plugin_implementation__, __plugin_hooks__
    __plugin_implementation__ = FaceSculptPlugin()
    __plugin_hooks__ = {
        "octoprint.access.permissions": lambda *args, **kwargs: permissions(),
        "octoprint.cli.commands": octoprint_commands,
        "octoprint.plugin.backup.additional_excludes": backup_excludes,
        # The only phase: each costs every line of a print. After other plugins, so that their lines are looked at, too.
        "octoprint.comm.protocol.gcode.sending": (__plugin_implementation__.line_hooks.sending, 1_000_000),
        "octoprint.comm.protocol.atcommand.queuing": __plugin_implementation__.on_at_command,
        "octoprint.comm.protocol.scripts": __plugin_implementation__.on_script,
        "octoprint.comm.protocol.temperatures.received": __plugin_implementation__.on_temperatures,
        "octoprint.comm.protocol.firmware.info": __plugin_implementation__.on_firmware,
        "octoprint.printer.estimation.factory": __plugin_implementation__.estimator,
        "octoprint.server.http.bodysize": body_size,
        "octoprint.server.http.routes": __plugin_implementation__.routes,
    }
