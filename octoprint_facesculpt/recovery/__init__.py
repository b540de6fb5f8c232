"""A print that survives an outage: what the machine had done, what happened, and how it goes on.

:mod:`machine` reads G-code as a printer does (:mod:`replay`: whole files, fast), :mod:`journal` keeps on disk how far the
print is, :mod:`outage` says what happened and where the nozzle stopped, :mod:`plan` how to resume. No OctoPrint in here.
"""

#: The kinds of firmware whose rules are known.
FIRMWARES = ("marlin2", "marlin1", "klipper")
