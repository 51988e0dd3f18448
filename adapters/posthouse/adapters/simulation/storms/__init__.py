"""Storms: random services, clients, limits and faults from one seed, and what is kept of a storm that fails.

It uses worlds through their public methods only.
"""
