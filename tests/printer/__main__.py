"""The simulated printer's process: pseudo-terminal, virtual clock, log of executed moves, control socket."""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import socket
import sys
import termios
import time
import tty
from pathlib import Path
from typing import Any

from .firmware import parse
from .firmwares import VERSIONS, make_firmware
from .machine import Machine
from .planner import Block
from .plastic import Plastic
from .protocol import LineReader

#: Real seconds without a line after which the host is taken to have nothing to send, and time goes on by itself.
GRACE = 0.05
#: Virtual seconds that pass at once while something is waited for.
STEP = 0.1
#: Real seconds of virtual time that are saved up while there is nothing to wait for. Small, so that a host that was slow
#: is not punished by a leap, and a queue does not run dry at once.
SAVED = 0.05
#: The same while time does not wait for the host: none must be lost when this process had to wait for its turn.
SAVED_FREE = 2.0
#: Bits of a character on the serial line: start, eight of data, stop. And the characters of an answer.
BITS, ANSWER = 10, len("ok\n")


class Simulator:
    """Everything together. Single-threaded: what happens when is decided by virtual time alone."""

    def __init__(
        self,
        link: Path,
        speed: float,
        log: Path | None,
        control: Path | None,
        raise_mm: float,
        version: str = "2.1",
        plastic: bool = False,
        seed: int | None = None,
        baud: int | None = None,
    ) -> None:
        self.machine, self.speed, self.raise_mm, self.version = Machine(), speed, raise_mm, version
        if plastic:
            self.machine.plastic = Plastic()
        if seed is not None:
            self.machine.chance = random.Random(seed)
        self._link = link
        self._plug()
        self._log = log.open("a") if log else None
        self._control_path, self._listener = control, None
        if control:
            control.unlink(missing_ok=True)
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(control))
            self._listener.listen()
        self._clients: dict[socket.socket, bytes] = {}
        #: Whether time stands still while the host prepares its next line.
        self.hold = True
        self.now, self.lines = 0.0, 0
        #: After so many lines no more are taken; None for no end.
        self._until: int | None = None
        self._cut_at: float | None = None
        self._allowed, self._seen = 0.0, time.monotonic()
        self._pending = b""
        #: Real seconds that a character takes on the serial line, and until when it is busy with what has come so far.
        self._character = BITS / baud if baud else 0.0
        self._arrives = 0.0
        self._waiting: Any = None
        self._reason: Any = None
        self._said_busy = self._reported = 0.0
        self._last_line = time.monotonic()
        self.running = True
        self._boot()

    def _plug(self) -> None:
        """A new serial port, under the same name."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        attributes = termios.tcgetattr(self._slave)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self._slave, termios.TCSANOW, attributes)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._slave))

    def _unplug(self) -> None:
        """The cable is pulled, and put back: the host's port is gone; the board goes on with what it was given."""
        os.close(self._master)
        os.close(self._slave)
        self._pending = b""
        self._plug()

    def _boot(self) -> None:
        self.firmware = make_firmware(self.machine, self._say, self._executed, self.raise_mm, self.version)
        self._reader = LineReader()
        self._waiting = self._reason = None
        self._pending = b""
        self.firmware.boot()

    def run(self) -> None:
        """Serve until told to quit."""
        while self.running:
            self._serve()
        self._link.unlink(missing_ok=True)
        if self._control_path:
            self._control_path.unlink(missing_ok=True)

    def _serve(self) -> None:
        ready = self._poll(0.0 if self._waiting is not None else 0.01 if self.hold else 0.001)
        if not self.hold and self._waiting is None:
            self._save_up()
            self._advance(self._allowed)
        if self._master in ready:
            self._hear_line(os.read(self._master, 4096))
            if not self.machine.powered:
                self._pending = b""
        if self._waiting is not None:
            self._wait()
        elif b"\n" in self._pending and (self._until is None or self.lines < self._until):
            if (rest := self._arrives - time.monotonic()) > 0:
                time.sleep(rest)
            raw, _, self._pending = self._pending.partition(b"\n")
            self._last_line = time.monotonic()
            self._line(raw.decode("ascii", "replace"))
        elif self.hold and time.monotonic() - self._last_line > GRACE:
            # The host is silent: the queue runs dry as it would, at the wanted speed.
            self._advance(SAVED * self.speed)

    def _hear_line(self, text: bytes) -> None:
        """Text from the host, which takes its time to come, and so will the answer."""
        self._pending += text
        self._arrives = max(self._arrives, time.monotonic()) + self._character * (len(text) + ANSWER * text.count(b"\n"))

    def _poll(self, timeout: float) -> list[Any]:
        sources = [self._master, *([self._listener] if self._listener else []), *self._clients]
        ready, _, _ = select.select(sources, [], [], timeout)
        for source in ready:
            if source is self._listener:
                client, _ = self._listener.accept()
                self._clients[client] = b""
            elif isinstance(source, socket.socket):
                self._hear(source)
        return ready

    def _line(self, raw: str) -> None:
        self.lines += 1
        command, answers = self._reader.accept(raw)
        for answer in answers:
            self._say(answer)
        if command is None:
            return
        self._ok = parse(command)[0] != "M105"  # answered in the ok itself
        self._waiting, self._said_busy = self.firmware.execute(command), time.monotonic()
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting is None:  # the power went while it waited
            return
        try:
            self._reason = next(self._waiting)
        except StopIteration:
            self._waiting = self._reason = None
            if self._ok and not self.firmware.halted:
                self._say("ok")

    def _wait(self) -> None:
        """Let virtual time pass until the command's reason to wait is gone."""
        reason, planner = self._reason, self.firmware.planner
        if reason == "planner":
            if planner.full:
                self._advance(planner.until_free() + 1e-9)
            if not planner.full:
                self._go_on()
        elif reason == "drained":
            if planner.blocks:
                self._advance(planner.until_free() + 1e-9)
            else:
                self._go_on()
        elif reason in ("nozzle", "bed"):
            heater = getattr(self.machine, reason)
            if heater.reached:
                self._go_on()
            else:
                self._advance(STEP)
                if self.now - self._reported >= 1.0:
                    self._reported = self.now
                    self._say(" " + self.firmware.temperatures() + " W:?")
        else:
            self._reason = reason - self._advance(min(STEP, reason))
            if self._reason <= 1e-9:
                self._go_on()
        if time.monotonic() - self._said_busy > 2.0:
            self._said_busy = time.monotonic()
            self._say("echo:busy: processing")

    def _advance(self, seconds: float) -> float:
        """Move virtual time on by at most ``seconds``, no faster than the wanted speed; how far it went.

        A power cut falls exactly where it was ordered.
        """
        self._save_up()
        step = min(seconds, self._allowed)
        if self._cut_at is not None and self.now + step >= self._cut_at:
            self._pass(max(0.0, self._cut_at - self.now))
            self._cut_at = None
            self._power(False)
            return 0.0
        self._allowed -= step
        self._pass(step)
        if step < seconds:
            time.sleep(min((seconds - step) / self.speed, 0.01))
        every = self.firmware.auto_report_seconds
        if every and self.machine.powered and self.now - self._reported >= max(every, every * self.speed / 20):
            self._reported = self.now
            self._say(" " + self.firmware.temperatures())
        return step

    def _save_up(self) -> None:
        moment = time.monotonic()
        most = (SAVED if self.hold else SAVED_FREE) * self.speed
        self._allowed = min(self._allowed + (moment - self._seen) * self.speed, most)
        self._seen = moment

    def _pass(self, seconds: float) -> None:
        if self.machine.powered:
            self.firmware.planner.advance(seconds)
        self.machine.advance(seconds)
        if self.machine.powered:
            self.firmware.watch_heaters(seconds)
        self.now += seconds

    def _power(self, on: bool) -> None:
        if on == self.machine.powered:
            return
        if not on:
            self._log_unfinished()
        self.machine.powered = on
        self.machine.nozzle.target = self.machine.bed.target = 0.0
        self.machine.fan = 0
        self.machine.release()
        if on:
            self._boot()
        else:
            self.firmware.planner.blocks.clear()
            self._waiting = self._reason = None
            self._pending = b""

    def _say(self, text: str) -> None:
        if self.machine.powered:
            os.write(self._master, text.encode() + b"\n")

    def _executed(self, block: Block, share: float = 1.0) -> None:
        """Log a move, or the ``share`` of it that was made."""
        if self._log is not None and block.length:
            end = [s + d * share for s, d in zip(block.start, block.delta[:3], strict=True)]
            record = {
                "t": round(self.now + self.firmware.planner.spent, 4), "n": block.number, "line": block.source,
                "from": _round(block.start), "to": _round(end), "e": round(block.delta[3] * share, 5),
                "at": _round(self.machine.position), "share": round(share, 6),
            }  # fmt: skip
            self._log.write(json.dumps(record) + "\n")

    def _log_unfinished(self) -> None:
        """Log the part of the running move that was made before the power went or the board was reset."""
        blocks, self.firmware.planner.spent = self.firmware.planner.blocks, 0.0
        if blocks and blocks[0].length and blocks[0].duration is not None:
            self._executed(blocks[0], blocks[0].travelled(blocks[0].elapsed) / blocks[0].length)

    def _hear(self, client: socket.socket) -> None:
        try:
            data = client.recv(4096)
            self._answer(client, data)
        except ConnectionError:  # it went away without waiting for the answer
            data = b""
        if not data:
            del self._clients[client]
            client.close()

    def _answer(self, client: socket.socket, data: bytes) -> None:
        *orders, self._clients[client] = (self._clients[client] + data).split(b"\n")
        for order in orders:
            try:
                answer = self._obey(json.loads(order))
            except (ValueError, KeyError, TypeError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            client.sendall(json.dumps(answer).encode() + b"\n")

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "power" if "at" in order and not order["on"]:
                self._cut_at = float(order["at"])
            case "power":
                self._power(bool(order["on"]))
            case "supply":
                self.machine.supply = bool(order["on"])
                self.machine.release()
            case "push":
                self.machine.push(float(order["mm"]))
            case "unplug":
                self._unplug()
            case "clear":
                self.machine.clear()
            case "reset":
                self._log_unfinished()
                self.machine.release()
                self.firmware.planner.blocks.clear()
                self.machine.nozzle.target = self.machine.bed.target = 0.0
                self._boot()
            case "speed":
                self._save_up()
                factor = float(order["factor"])
                if not 0 < factor < float("inf"):
                    raise ValueError("the speed must be above 0")
                self.speed, self.hold = factor, bool(order.get("hold", True))
                self._save_up()
            case "take":
                self._until = None if order["until"] is None else int(order["until"])
            case "quit":
                self.running = False
            case "status":
                pass
            case other:
                raise ValueError(f"unknown order {other}")
        if self._log is not None:
            self._log.flush()
        return {
            "time": self.now, "powered": self.machine.powered, "position": _round(self.machine.position),
            "filament": round(self.machine.filament, 4), "nozzle": self.machine.nozzle.actual,
            "bed": self.machine.bed.actual, "blocks": len(self.firmware.planner.blocks), "lines": self.lines,
            "last_line": self._last_line,
            "moves": self.firmware.moves, "touches": self.machine.touches[:5], "touched": len(self.machine.touches),
            "jumped": round(self.machine.jumped, 4), "deepest": round(self.machine.deepest, 3),
            "top": self.machine.plastic.top if self.machine.plastic else None,
        }  # fmt: skip


def _round(values) -> list[float]:
    return [round(value, 4) for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--link", type=Path, required=True, help="path that becomes the serial port")
    parser.add_argument("--speed", type=float, default=1.0, help="virtual seconds a real second, at most")
    parser.add_argument("--log", type=Path, help="executed moves, a JSON object a line")
    parser.add_argument("--control", type=Path, help="path of the control socket")
    parser.add_argument("--homing-raise", type=float, default=5.0, help="lift before homing, mm (0 as on Marlin 1.1)")
    parser.add_argument("--firmware", choices=VERSIONS, default="2.1", help="version of Marlin, or Klipper")
    parser.add_argument("--plastic", action="store_true", help="remember what is printed, and tell when the nozzle touches it")
    parser.add_argument("--baud", type=int, help="let lines and answers take as long as at this rate; else no time")
    parser.add_argument("--seed", type=int, help="motors jump when they wake up, by chance from this seed")
    arguments = parser.parse_args()
    simulator = Simulator(
        arguments.link, arguments.speed, arguments.log, arguments.control, arguments.homing_raise, arguments.firmware,
        arguments.plastic, arguments.seed, arguments.baud,
    )  # fmt: skip
    print("ready", flush=True)
    try:
        simulator.run()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
