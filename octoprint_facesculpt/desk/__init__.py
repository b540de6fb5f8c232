"""Recovery in OctoPrint's process: what its hooks see becomes a journal, and the user takes an interrupted print up again.

The reading of G-code, the estimates and the plans are :mod:`octoprint_facesculpt.recovery`'s, made by child processes
(:mod:`helpers`). What all of this needs of the world is in :mod:`ports`.

- While it prints: :mod:`hooks` are called for every line, and pass on what has to be looked at :mod:`closely`; :mod:`watch`
  makes records of it. A :mod:`last_look` sees whether the nozzle is still hot when the file has ended.
- While something waits: :mod:`guard` holds back lines that would touch it, :mod:`connection` sees to the port, :mod:`sight`
  to what the printer tells of itself, :mod:`moved` and :mod:`meanwhile` to what has changed.
- Step by step: :mod:`plans` that wait for the user's :mod:`answers`, with their :mod:`pictures`; :mod:`desk` carries them
  out, with an eye on the :mod:`heat` and on what happens when nobody does anything (:mod:`patience`), or goes on
  :mod:`alone`, if it may. :mod:`estimate` corrects OctoPrint's time left; :mod:`drill` rehearses all of it.
"""
