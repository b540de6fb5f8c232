"""What all commands have in common: their options, what they say to people and to programs, and how they end.

Exit code 0 on success, 2 for bad input (one line ``code: message`` on stderr), 1 for anything else. With ``--json``
progress, result and errors are JSON lines on stdout.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from .errors import Cancelled, FaceSculptError
from .progress import Progress

#: Arguments that name files to be written.
OUTPUTS = ("output", "report_file", "preview", "index", "contact")


class Reporter:
    """Tells people or programs what happens; a :class:`octoprint_facesculpt.progress.Progress` itself."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._last = -1.0
        self._seconds: dict[str, float] = {}

    def __call__(self, fraction: float, message: str = "") -> None:
        if self._json and (fraction - self._last >= 0.01 or fraction >= 1):
            self._last = fraction
            self._line(event="progress", fraction=round(fraction, 4), message=message)

    def part(self, start: float, end: float) -> Progress:
        """Progress of a part that stands for ``start``..``end`` of the whole."""

        def part(fraction: float, message: str = "") -> None:
            self(start + (end - start) * fraction, message)

        return part

    def result(self, data: dict[str, Any], text: str) -> None:
        if self._json:
            self._line(event="result", data=data)
        else:
            click.echo(text)

    def error(self, error: FaceSculptError) -> None:
        if self._json:
            extra = {"faces": [vars(face) for face in error.faces]} if hasattr(error, "faces") else {}
            self._line(event="error", code=error.code, message=error.message, hint=error.hint, **extra)
        hint = f" {error.hint}" if error.hint else ""
        click.echo(f"{error.code}: {error.message}{hint}".replace("\n", " "), err=True)

    @staticmethod
    def _line(**fields: Any) -> None:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


class UsageError(FaceSculptError):
    """Code ``usage``: the command line itself is wrong."""


class OutputError(FaceSculptError):
    """Codes: ``output_unwritable``, ``disk_full``."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.bad_input = code == "output_unwritable"


class OneLine(click.Command):
    """A command whose wrong use is answered like any other bad input, not with click's page of usage."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        as_json = "--json" in args
        try:
            return super().parse_args(context, args)
        except click.UsageError as error:
            Reporter(as_json).error(UsageError("usage", error.format_message(), f"See '{context.command_path} --help'."))
            context.exit(2)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Options that all commands share, and the way errors become exit codes."""

    @click.option("--json", "as_json", is_flag=True, help="Progress and result as JSON lines on stdout.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @click.option("--assets", "assets_folder", type=click.Path(path_type=Path), help="Folder of the model files.")
    @click.option("--threads", type=click.IntRange(1, 64), default=None, help="Processor threads to use.")
    def run(as_json: bool, debug: bool, assets_folder: Path | None, threads: int | None, **arguments: Any) -> None:
        reporter = Reporter(as_json)
        if assets_folder is not None:
            os.environ["FACESCULPT_ASSETS"] = str(assets_folder)
        # A parent that ends this process lets it tidy up: half-made files, and the slicer it started.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _limit_threads(threads or min(os.cpu_count() or 1, 2))
        try:
            for name in OUTPUTS:
                if arguments.get(name) is not None:
                    _check_writable(arguments[name])
            function(reporter, **arguments)
        except FaceSculptError as error:
            _end(reporter, error, debug)
        except KeyboardInterrupt:
            with contextlib.suppress(OSError):
                reporter.error(Cancelled())
            _leave()
        except BrokenPipeError:
            # Nobody listens any more; nor may the interpreter's own last flush fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            _end(reporter, _unexpected(error), debug)

    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.__click_params__ = [*getattr(function, "__click_params__", []), *run.__click_params__]  # type: ignore[attr-defined]
    return run


def _end(reporter: Reporter, error: FaceSculptError, debug: bool) -> NoReturn:
    """Report an error and exit with its code; with ``debug``, show where it came from."""
    if debug:
        raise error
    reporter.error(error)
    sys.exit(2 if error.bad_input else 1)


def _leave() -> NoReturn:
    """End at once: everything is tidied up, and somebody waits. To take down an interpreter with numpy in it takes longer than
    all the rest of a cancel."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(1)


def _unexpected(error: Exception) -> FaceSculptError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        answer: FaceSculptError = OutputError("disk_full", "There is no room left on the disk.", "Delete some files.")
    else:
        answer = FaceSculptError("internal_error", f"{type(error).__name__}: {error}", "Run with --debug.")
        answer.bad_input = False
    answer.__cause__ = error
    return answer


def _check_writable(path: Path) -> None:
    """Refuse an output that could not be written before minutes are spent on it."""
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise _unwritable(folder)
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """Refuse a folder in which nothing could be written; one that is not there yet is made in the first above it that is:
    :class:`OutputError` ``output_unwritable``."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(folder)


def _unwritable(folder: Path) -> OutputError:
    return OutputError("output_unwritable", f"Nothing can be written in the folder '{folder}'.", "Choose another one.")


def _limit_threads(count: int) -> None:
    """Cap the processors of this process and of the slicer it may start, and the thread pools of everything numeric; must
    come before numpy and torch are imported."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-count:]))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    # Threads that spin while they wait for one whose core a print is using make everything twice as slow. The network's can be
    # told to sleep instead; numpy's cannot, and bring nothing to matrices as small as ours.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a report, whole or not at all."""
    from .sculpture.export import write

    write(path, json.dumps(data, indent=1).encode())
