"""The reports of a gateway: its events, the ends of requests, its counters. Each must be as the model knows it.

This folder knows the records of the model, and not why something happens.
"""
