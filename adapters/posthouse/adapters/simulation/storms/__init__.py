"""Storms: random scenarios from one seed (limits, faults, links, clients), and what is kept of one that fails.

This folder uses worlds and clients; they do not know it.
"""
