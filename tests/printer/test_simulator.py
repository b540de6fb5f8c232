"""The simulated printer as a process behind a serial port: what OctoPrint sees of it, and what a power cut leaves."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from .fixture import SimulatedPrinter
from .test_protocol import numbered

#: Virtual time that stands still for all practical purposes: real seconds pass, the printer does not.
STANDSTILL = 1e-6
FAST = 2000.0


class Host:
    """A host at the serial port, answering every ``ok`` with the next line."""

    def __init__(self, link: Path) -> None:
        self.port = serial.Serial(str(link), 115200, timeout=20)
        self._number = itertools.count(1)
        self.command("M110 N0", numbered_line=False)

    def write(self, text: str) -> None:
        self.port.write(text.encode() + b"\n")

    def read(self) -> str:
        line = self.port.readline()
        assert line.endswith(b"\n"), f"the printer went silent: {line!r}"
        return line.decode().rstrip("\n")

    def until(self, start: str) -> list[str]:
        """Lines up to the one that begins with ``start``."""
        lines = [self.read()]
        while not lines[-1].startswith(start):
            lines.append(self.read())
        return lines

    def command(self, command: str, numbered_line: bool = True) -> list[str]:
        """Send a command; everything up to its ``ok``."""
        self.write(numbered(next(self._number), command) if numbered_line else command)
        return self.until("ok")


@pytest.fixture(scope="module")
def printer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPrinter]:
    with SimulatedPrinter(tmp_path_factory.mktemp("ender3"), speed=FAST) as running:
        yield running


@pytest.fixture
def host(printer: SimulatedPrinter) -> Iterator[Host]:
    """A host that has just connected to a freshly started, homed printer."""
    printer.order(do="power", on=True)
    printer.order(do="speed", factor=FAST)
    printer.order(do="reset")
    host = Host(printer.link)
    host.command("G28")
    yield host
    host.port.close()


def test_it_greets_and_numbers_lines(host: Host, printer: SimulatedPrinter) -> None:
    printer.order(do="reset")
    assert host.until("echo:Hardcoded")[0] == "start"
    host.command("M110 N0", numbered_line=False)
    assert host.command("M115", numbered_line=False)[0].startswith("FIRMWARE_NAME:Marlin")


def test_a_damaged_line_is_sent_again(host: Host) -> None:
    host.command("M110 N50", numbered_line=False)
    host.write(numbered(51, "G1 X10").replace("X10", "X90"))
    assert host.until("ok") == ["Error:checksum mismatch, Last Line: 50", "Resend: 51", "ok"]
    host.write(numbered(51, "G1 X10"))
    assert host.until("ok") == ["ok"]
    host.write(numbered(52, "M114"))
    assert host.until("ok")[0].startswith("X:10.00")


def test_temperatures_are_reported_by_themselves(host: Host) -> None:
    host.command("M155 S1")
    assert host.until(" T:")[-1].startswith(" T:22.00 /0.00 B:22.00 /0.00")
    host.command("M155 S0")


def test_sixteen_moves_leave_the_last_one_waiting(host: Host, printer: SimulatedPrinter) -> None:
    printer.order(do="speed", factor=STANDSTILL)
    for number in range(1, 16):
        host.command(f"G1 X{number * 10} F600")
    host.write("G1 X200 F600")
    status = printer.order(do="status")
    assert (status["blocks"], status["moves"]) == (15, 15)
    printer.order(do="speed", factor=FAST)
    assert host.until("ok")[-1] == "ok"
    host.command("M400")
    assert printer.order(do="status")["position"] == pytest.approx([200.0, 0.0, 0.0])


def test_the_log_has_every_move_where_it_was_really_made(host: Host, printer: SimulatedPrinter) -> None:
    before = len(printer.moves())
    printer.order(do="speed", factor=STANDSTILL)
    for line in ("G1 X20 Y10 Z5 F6000", "G92 X0", "M83", "G1 X30 E2", "G1 F1200", "G1 E-1"):
        host.command(line)
    printer.order(do="speed", factor=FAST)
    host.command("M400")
    moves = printer.moves()[before:]
    assert [move["line"] for move in moves] == ["G1 X20 Y10 Z5 F6000", "G1 X30 E2", "G1 E-1"]
    assert [move["at"] for move in moves] == [[20, 10, 5], [50, 10, 5], [50, 10, 5]]
    assert [move["e"] for move in moves] == [0, 2, -1] and [move["share"] for move in moves] == [1, 1, 1]
    # 1 mm of filament at 20 mm/s. The corner allows 5 mm/s of jerk over 1 + 2/30, that is 4.6875 mm/s:
    # 0.030625 s and 0.378027 mm up, 0.04 s and 0.4 mm down, 0.221973 mm between them.
    assert moves[2]["t"] - moves[1]["t"] == pytest.approx(0.030625 + 0.04 + 0.221973 / 20, abs=2e-4)


def test_the_last_moves_are_the_end_of_the_log(host: Host, printer: SimulatedPrinter) -> None:
    for number in range(40):
        host.command(f"G1 X{number + 1} F6000")
    host.command("M400")
    assert printer.last_moves(3) == printer.moves()[-3:]


def test_no_more_lines_are_taken_than_ordered(host: Host, printer: SimulatedPrinter) -> None:
    taken = printer.order(do="status")["lines"]
    printer.order(do="take", until=taken + 1)
    host.command("M105")
    host.write("M105")
    assert printer.order(do="status")["lines"] == taken + 1
    printer.order(do="take", until=None)
    assert host.until("ok")


def test_virtual_time_is_that_of_the_moves_however_fast_it_runs(host: Host, printer: SimulatedPrinter) -> None:
    times = []
    for factor in (200, FAST):
        before = len(printer.moves())
        printer.order(do="speed", factor=STANDSTILL)
        # At once: a host that hesitates between them finds the first one under way.
        host.write("G1 X100 F3000\nG1 X0")
        assert (host.until("ok")[-1], host.until("ok")[-1]) == ("ok", "ok")
        printer.order(do="speed", factor=factor)
        host.command("M400")
        first, second = printer.moves()[before:]
        times.append(second["t"] - first["t"])
    # 100 mm at 50 mm/s: 0.09 s and 2.475 mm up from the 5 mm/s of the turn, 0.1 s and 2.5 mm down.
    assert times == pytest.approx([0.19 + (100 - 4.975) / 50] * 2, abs=1e-3)


def test_power_is_cut_in_the_middle_of_a_move(host: Host, printer: SimulatedPrinter) -> None:
    before = len(printer.moves())
    for line in ("M104 S200", "M83", "G1 X10 Z5 F6000", "M400"):
        host.command(line)
    printer.order(do="speed", factor=STANDSTILL)
    host.command("G1 X110 E5 F60")
    host.command("G1 X120 E1 F60")
    start = printer.order(do="status")
    printer.order(do="power", on=False, at=start["time"] + 50)
    printer.order(do="speed", factor=FAST)
    host.write("M400")
    dead = _wait_until_dead(printer)
    # 50 s at 1 mm/s, half a second's thousandth lost on the ramp.
    x, y, z = dead["position"]
    assert (x, y, z) == pytest.approx((60.0, 0.0, 5.0), abs=0.01)
    assert dead["filament"] - start["filament"] == pytest.approx(2.5, abs=0.001)
    assert dead["blocks"] == 0
    last = printer.moves()[before:][-1]
    assert last["line"] == "G1 X110 E5 F60" and last["share"] == pytest.approx(0.5, abs=1e-3)
    assert last["to"] == pytest.approx([x, y, z], abs=1e-3) and last["e"] == pytest.approx(2.5, abs=0.001)

    # Nothing is heard, nothing answered, nothing moves; the heater cools.
    host.write("G1 X0")
    host.write("M105")
    later = printer.order(do="status")
    while later["time"] < dead["time"] + 60:
        later = printer.order(do="status")
    assert later["position"] == dead["position"] and later["nozzle"] < dead["nozzle"]
    host.port.reset_input_buffer()

    # Back again: a banner, a firmware that believes to be at zero, a carriage that is where it was.
    printer.order(do="power", on=True)
    assert host.until("echo:Hardcoded")[0] == "start"
    assert host.command("M114", numbered_line=False)[0] == "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0"
    assert printer.order(do="status")["position"] == dead["position"]
    assert "/0.00 B:" in host.command("M105", numbered_line=False)[0]


def test_power_is_cut_while_the_host_waits_for_a_place_in_the_queue(host: Host, printer: SimulatedPrinter) -> None:
    printer.order(do="speed", factor=STANDSTILL)
    for number in range(1, 16):
        host.command(f"G1 X{number * 10} F60")
    host.write("G1 X200 F60")
    printer.order(do="power", on=False, at=printer.order(do="status")["time"] + 5)
    printer.order(do="speed", factor=FAST)
    assert _wait_until_dead(printer)["position"][0] == pytest.approx(5.0, abs=0.01)


def test_orders_that_make_no_sense_are_refused_and_harm_nothing(printer: SimulatedPrinter) -> None:
    for order in ({"do": "dance"}, {"go": 1}, {"do": "speed", "factor": "fast"}, {"do": "speed", "factor": 0}):
        with pytest.raises(ValueError, match="Error"):
            printer.order(**order)
    assert printer.order(do="status")["powered"] in (True, False)


def test_lines_take_their_time_on_the_serial_line(tmp_path: Path) -> None:
    with SimulatedPrinter(tmp_path, speed=FAST, options=("--baud", "2400")) as running:
        host, lines = Host(running.link), [numbered(n, f"M117 {'.' * 40}") for n in range(1, 6)]
        characters = sum(len(line) + len("\n") + len("ok\n") for line in lines)
        begun = time.monotonic()
        for line in lines:
            host.write(line)
            assert host.until("ok")
        assert time.monotonic() - begun >= characters * 10 / 2400


def test_it_leaves_no_link_behind(tmp_path: Path) -> None:
    with SimulatedPrinter(tmp_path) as running:
        assert running.link.exists()
        running.order(do="quit")
        running.wait()
        assert not running.link.is_symlink() and not running.control.exists()


def _wait_until_dead(printer: SimulatedPrinter) -> dict:
    status = printer.order(do="status")
    while status["powered"]:
        status = printer.order(do="status")
    return status
