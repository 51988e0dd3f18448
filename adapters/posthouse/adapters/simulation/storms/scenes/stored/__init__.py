"""Scenes of a server whose store is simulated: what the store keeps, and what clients hear of it."""
