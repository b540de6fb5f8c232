"""A print that survives an outage: what the machine had done, what happened, and how it goes on. No OctoPrint in here.

- What G-code does: :mod:`machine` reads it line by line into a :mod:`state`, as a printer does, :mod:`replay` reads whole
  files, fast, and :mod:`timing` says how long moves take.
- What is written down while it prints: :mod:`journal`, with the last :mod:`lines` of each moment, what is known of the
  :mod:`printer`, and while a print is being taken up again how far that is (:mod:`resuming`). Only what is :mod:`sound` is
  believed, with its :mod:`checksum`, of a file that is still the same (:mod:`identity`).
- What happened: :mod:`outage`, how long ago (:mod:`clock`), and whether motors and heaters alone had lost their
  :mod:`supply`.
- Where the nozzle stopped: :mod:`estimate` in the :mod:`window` of path around the outage, the :mod:`heights` that it can
  have, and what of them the firmware's retraction has :mod:`held`.
- What somebody has seen or measured: :mod:`shift` to another place, :mod:`measure`, with a :mod:`picture` of the layer.
- How it goes on: :mod:`plan`. :mod:`recover` goes all this way, for the command (:mod:`command`) and the dashboard, or ends
  with one of the :mod:`errors`; a :mod:`drill` goes it without a printer.
- What must not reach the printer meanwhile: :mod:`interlock`.
"""

#: The kinds of firmware whose rules are known.
FIRMWARES = ("marlin2", "marlin1", "klipper")
