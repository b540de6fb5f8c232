"""Random G-code programs for property tests, and a small sliced-looking print."""

from __future__ import annotations

from math import cos, pi, sin

from hypothesis import strategies as st

from octoprint_facesculpt.recovery.machine import Machine

_value = st.one_of(
    st.integers(-300, 300).map(str),
    st.floats(-200, 200, allow_nan=False).map(lambda v: f"{v:.3f}"),
    st.integers(0, 99999).map(lambda v: f".{v:05d}"),
    st.sampled_from(["", " 5", "1.2.3", "--1", "1-2", ".", "-", "1e5", "+3", "-.5", "12345678901234567890", "0x1"]),
)
_tidy = st.floats(0, 200, allow_nan=False).map(lambda v: f"{v:.3f}")


def _moves(values, letters: str):
    words = st.lists(st.tuples(st.sampled_from(letters), values), max_size=5, unique_by=lambda word: word[0])
    return words.map(lambda found: "".join(f" {letter}{value}" for letter, value in found))


_plain = st.tuples(st.sampled_from(["G1", "G0"]), _moves(_tidy, "XYZEF")).map("".join)
_names = st.sampled_from(["G1", "G0", "G01", "G1.5", "g1", "N5 G1", "G10", "G2", "G3"])
_odd = st.tuples(_names, _moves(_value, "XYZEFIJRPS")).map("".join)
_other = st.sampled_from(
    """G20|G21|G28|G28 X Y|G29|G90|G91|G92 E0|G92 X5 Y-3|G92 Z1.5 E7|G92.1|M82|M83|T0|T1|M104 S200|M109 R180|M140 S60|M190 S55
    |M106 S128|M106 P1 S9|M107|M220 S90|M221 S95|M201 X500 Y500|M203 E25|M204 P500 T800|M205 X8|M290 Z0.02|M420 S1 Z10|M900 K0.2
    |M84|M84 S0|M84 X Y E|M17|G10|G11|G10 P0 S200|M117 X5 printing|;LAYER:0|;LAYER_CHANGE|;TYPE:Skin|; G1 X99|  |M73 P5 R100
    |M92 E95|M207 S4 Z.4 F1800|M208 S.1|M204 S700
    |G1 X5 ; G1 X9|G1 X1 Y2 *55|(G1 X7)|G1X7Y8E.5|G1 X3 X4|G1 X1 G1 Y2|X5|5""".replace("\n", "").split("|")
)
_end = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n"])
line = st.tuples(st.one_of(_plain, _plain, _plain, _odd, _other), _end).map("".join)
#: Blocks of tidy lines between single odd ones, as files are.
block = st.one_of(line, line, st.lists(_plain, min_size=2, max_size=5).map(lambda lines: ("\n".join(lines) + "\n") * 25))
program = st.lists(block, max_size=8).map(lambda blocks: "".join(blocks).encode())


def print_file(layers: int = 4, sides: int = 40, radius: float = 10.0, relative_e: bool = True) -> bytes:
    """A vase of rings in layers of 0.2 mm in the middle of the bed, the way PrusaSlicer writes it for an Ender 3."""
    out = [
        "M107", "G90", "M83" if relative_e else "M82", "M140 S60", "M104 S205", "G28", "M190 S60", "M109 S205",
        "G1 Z0.28 F240", "G92 E0", "G1 X2 Y10 F3000", "G1 Y140 E10 F1500", "G92 E0", "M204 P500 T800",
    ]  # fmt: skip
    e = 0.0
    step = 2 * pi * radius / sides * 0.033

    def push(amount: float) -> str:
        nonlocal e
        e += amount
        return f"E{amount:.5f}" if relative_e else f"E{e:.5f}"

    for layer in range(layers):
        z = 0.2 * (layer + 1)
        out += [";LAYER_CHANGE", f";Z:{z:.2f}", ";HEIGHT:0.2", "G92 E0"]
        e = 0.0
        out += [f"G1 {push(-5)} F3600", f"G1 Z{z:.2f} F9000", f"G1 X{117.5 + radius:.3f} Y117.5"]
        out += [f"G1 {push(5)} F2400", "M106 S255" if layer == 1 else "M204 S500", ";TYPE:External perimeter", "G1 F1800"]
        for side in range(1, sides + 1):
            angle = 2 * pi * side / sides
            out.append(f"G1 X{117.5 + radius * cos(angle):.3f} Y{117.5 + radius * sin(angle):.3f} {push(step)}")
        out += [f"G1 X117.5 Y{117.5 - radius / 2:.3f} F9000", "G1 F2400"]
        for row in range(6):
            x = 117.5 + (radius / 2 if row % 2 else -radius / 2)
            y = 117.5 - radius / 2 + row
            out += [f"G1 X{117.5 * 2 - x:.3f} Y{y:.3f} F9000", f"G1 X{x:.3f} Y{y:.3f} {push(radius * 0.033)} F2400"]
    out += [f"G1 {push(-5)} F3600", "M107", "M140 S0", "M104 S0", "G1 X5 Y200 F9000", "M84 X Y E"]
    return ("\n".join(out) + "\n").encode()


def hopping_file(layers: int = 8) -> bytes:
    """A small :func:`print_file` whose nozzle is lifted by two layers, 0.4 mm, in the middle of each layer."""
    out: list[str] = []
    for line in print_file(layers, radius=4.0).decode().splitlines():
        if line.startswith(";Z:"):
            z = float(line[3:])
        hop = line.startswith("G1 X117.5 Y115.500")
        out += [f"G1 Z{z + 0.4:.2f} F9000", line, f"G1 Z{z:.2f}"] if hop else [line]
    return ("\n".join(out) + "\n").encode()


def retracting_file(lift: float, layers: int = 5) -> bytes:
    """A small :func:`print_file` whose firmware retracts before every way without plastic, and lifts the nozzle by ``lift`` mm
    then, without a word in the coordinates."""
    out: list[str] = []
    for line in print_file(layers, radius=6.0).decode().splitlines():
        if line == "M190 S60":
            out += [line, f"M207 S4 F2400 Z{lift:g}"]
        elif line == "G1 Z0.28 F240":
            out.append("G1 Z0.2 F240")
        elif line.startswith("G1 E-5"):
            out.append("G10")
        elif line.startswith("G1 E5"):
            out.append("G11")
        else:
            moves = line.startswith("G1 X") and "F9000" in line
            out += ["G10", line, "G11"] if moves else [line]
    return ("\n".join(out) + "\n").encode()


def busy_file(layers: int = 8, radius: float = 14.0) -> bytes:
    """A print that does all that a slicer may: rings, arcs, infill, hops, travels with and without retraction, a pause
    (``;PAUSE`` in layer 3, for the host to make), a change of filament (M600 in layer 5), changed temperatures, an end."""
    out = [
        "M107", "G90", "M83", "M140 S60", "M104 S205", "G28", "M190 S60", "M109 S205",
        "G1 Z0.2 F240", "G92 E0", "G1 X2 Y10 F3000", "G1 Y140 E10 F1500", "G92 E0", "M204 P500 T800",
    ]  # fmt: skip
    flow = 0.033
    for layer in range(layers):
        z = 0.2 * (layer + 1)
        out += [";LAYER_CHANGE", f";Z:{z:.2f}", ";HEIGHT:0.2", "G92 E0", "G1 E-5 F3600", f"G1 Z{z:.2f} F9000"]
        out += {1: ["M106 S255", "M104 S200"], 4: ["M600"]}.get(layer, [])
        out += [f"G1 X{117.5 + radius:.3f} Y117.5 F9000", "G1 E5 F2400", ";TYPE:External perimeter", "G1 F1800"]
        for ring in (radius, radius - 0.5):
            for side in range(1, 91):
                angle = 2 * pi * side / 90
                where = f"X{117.5 + ring * cos(angle):.3f} Y{117.5 + ring * sin(angle):.3f}"
                out.append(f"G1 {where} E{2 * pi * ring / 90 * flow:.5f}")
            out.append(f"G1 X{117.5 + ring - 0.5:.3f} Y117.5 F9000")
            out.append("G1 F1800")
        # Two half circles as arcs.
        arc = radius - 1.0
        out += [f"G3 X{117.5 - arc:.3f} Y117.5 I-{arc:.3f} J0 E{pi * arc * flow:.5f}"]
        out += [f"G3 X{117.5 + arc:.3f} Y117.5 I{arc:.3f} J0 E{pi * arc * flow:.5f}"]
        half = 0.6 * radius
        # A hop over to the infill.
        out += ["G1 E-5 F3600", f"G1 Z{z + 0.4:.2f} F9000", f"G1 X{117.5 - half:.3f} Y{117.5 - half:.3f}"]
        out += [f"G1 Z{z:.2f}", "G1 E5 F2400"]
        for row in range(12):
            x, y = half if row % 2 else -half, 117.5 - half + 2 * half * row / 12
            out += [f"G1 X{117.5 + x:.3f} Y{y:.3f} F9000", f"G1 X{117.5 - x:.3f} Y{y:.3f} E{2 * half * flow:.5f} F2400"]
            if row == 6 and layer == 2:
                out.append(";PAUSE")
    out += ["G1 E-5 F3600", f"G1 Z{0.2 * layers + 10:.2f} F600", "M107", "M140 S0", "M104 S0", "G1 X5 Y200 F9000", "M84 X Y E"]
    return ("\n".join(out) + "\n").encode()


def after_program(program: str, firmware: str = "marlin2") -> Machine:
    """A machine that has read a program's lines, which ``|`` parts."""
    machine = Machine(firmware)
    for line in program.split("|"):
        machine.execute(line.encode() + b"\n")
    return machine
