"""Stages of the work as niced child processes, one at a time, that survive a restart of the server."""
