"""A plugin for the tests' server only: tells an administrator which modules the server's process has imported."""

from __future__ import annotations

import sys

import flask
import octoprint.plugin
from octoprint.access.permissions import Permissions

__plugin_name__ = "Loaded Modules"
__plugin_version__ = "1"
__plugin_pythoncompat__ = ">=3.11,<4"


class LoadedModulesPlugin(octoprint.plugin.SimpleApiPlugin):
    def is_api_protected(self) -> bool:
        return True

    def on_api_get(self, _request):
        if not Permissions.ADMIN.can():
            flask.abort(403)
        return flask.jsonify(modules=sorted(sys.modules))


__plugin_implementation__ = LoadedModulesPlugin()
