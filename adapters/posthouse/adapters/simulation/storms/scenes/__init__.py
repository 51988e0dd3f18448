"""Scenes: short performances of one server, or of one client, whose whole course is known: each byte, each line of the
log, and the time of both.

A scene is a function that plays on a stage. Nothing here knows storms, the reference model or the invariants.
"""
