"""What a gateway reports: its events, the ends of requests, its counters. Each must be what the model knows.

This folder knows the records of the model, and not why something happens.
"""
