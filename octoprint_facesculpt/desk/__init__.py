"""Recovery in OctoPrint's process: what its hooks see becomes a journal, and the user takes an interrupted print up again.

The reading of G-code, the estimates and the plans are :mod:`octoprint_facesculpt.recovery`'s, made by child processes.
"""
