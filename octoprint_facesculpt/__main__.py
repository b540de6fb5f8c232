"""``python -m octoprint_facesculpt``: the same commands without starting OctoPrint's command line."""

from .cli import commands

if __name__ == "__main__":
    commands(prog_name="python -m octoprint_facesculpt")
