"""The lines of the log about events, calls and hooks: their texts, and how many of a kind are written.

This folder changes nothing: it does not know hooks, tasks or threads.
"""
