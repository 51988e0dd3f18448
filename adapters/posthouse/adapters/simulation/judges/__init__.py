"""Judges at the far end: each reads the raw bytes of one link, in both directions, by the standards alone.

They share no code with the server or with the clients' codecs, so that no error of a codec hides one of the server. A
judge raises `Violation` for the first byte that breaks a rule. This folder does not know worlds, clients or links.
"""
