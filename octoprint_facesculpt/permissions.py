"""Who may do what."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext
from octoprint.access import ADMIN_GROUP, USER_GROUP

GROUPS = [ADMIN_GROUP, USER_GROUP]


def permissions() -> list[dict[str, Any]]:
    """OctoPrint's ``octoprint.access.permissions`` hook."""
    return [
        {
            "key": "VIEW",
            "name": gettext("See portraits"),
            "description": gettext("Allows to see photos, sculptures and the queue"),
            "roles": ["view"],
            "default_groups": GROUPS,
        },
        {
            "key": "CREATE",
            "name": gettext("Create sculptures"),
            "description": gettext("Allows to upload photos and to make or delete sculptures"),
            "roles": ["create"],
            "default_groups": GROUPS,
        },
        {
            "key": "PRINT",
            "name": gettext("Print sculptures"),
            "description": gettext("Allows to queue and print sculptures"),
            "roles": ["print"],
            "default_groups": GROUPS,
        },
        {
            "key": "RECOVER",
            "name": gettext("Recover prints"),
            "description": gettext("Allows to resume an interrupted print"),
            "roles": ["recover"],
            "dangerous": True,
            "default_groups": GROUPS,
        },
        {
            "key": "ADMIN",
            "name": gettext("Manage FaceSculpt"),
            "description": gettext("Allows to fetch model files and change the plugin's settings"),
            "roles": ["admin"],
            "dangerous": True,
            "default_groups": [ADMIN_GROUP],
        },
    ]
