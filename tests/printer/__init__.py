"""A simulated Creality Ender 3 with Marlin (2.1, 2.0 or 1.1) behind a pseudo-terminal, in a process of its own.

    python -m tests.printer --link /tmp/ender3 --speed 200 --log moves.jsonl --control /tmp/ender3.sock

OctoPrint connects to the link as to a serial port (put it into ``serial.additionalPorts``). The layers, each usable
without the next: :mod:`machine` (carriage, heaters, power), :mod:`planner` (moves and their time), :mod:`firmware`
(G-code), :mod:`protocol` (line numbers, checksums, resends), and ``__main__`` (pseudo-terminal, clock, control socket).

Virtual time runs at most ``--speed`` times as fast as real time, and stands still while the host prepares its next line,
so that acceleration does not starve the planner, unless the speed was ordered with ``"hold": false``. The control socket
takes one JSON object a line and answers alike:
``{"do": "status"}``, ``{"do": "power", "on": false}``, ``{"do": "power", "on": false, "at": 12.5}`` (virtual seconds,
also in the middle of a move), ``{"do": "reset"}``, ``{"do": "speed", "factor": 50}``, ``{"do": "quit"}``,
``{"do": "supply", "on": false}`` (motors and heaters; the board runs on from USB), ``{"do": "push", "mm": -0.3}`` (Z, while
its motor has no power), ``{"do": "unplug"}`` (the cable, and back), ``{"do": "clear"}`` (the bed). With ``--plastic`` what is
printed stays (:mod:`plastic`), and the status tells where the nozzle ran into it; with ``--seed`` motors jump when they wake.

The log has one JSON object a move: ``t`` virtual seconds at its end, ``n`` its number (0 when homing), ``line`` the G-code,
``from`` and ``to`` as the firmware knows them, ``at`` where the nozzle truly was, ``e`` mm of filament, and ``share``, which
is below 1 for a move that a power cut or a reset has ended.
"""
