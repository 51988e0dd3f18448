"""Scenes about what outlives connections."""
