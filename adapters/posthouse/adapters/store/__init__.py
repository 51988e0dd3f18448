"""Stores: what keeps users, tokens and sessions beyond the life of a process.

A store performs the requests of the core, and applies the core's rules inside its own transactions. This folder knows
no server and no gateway.
"""
