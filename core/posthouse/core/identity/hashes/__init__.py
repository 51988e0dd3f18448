"""Hashes of passwords: made outside, each in its turn, in memory that is set aside for them.

This folder may not know credentials, users, or what a hash is for.
"""
