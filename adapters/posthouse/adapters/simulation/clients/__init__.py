"""Simulated clients: what they send over each transport, and which replies they may get.

Clients judge the server by the bytes that reach them. This folder does not know the server's gateway or its tables.
"""
