"""Clients made of bytes: no library on this side, so that every server is asked in the same way, and the load is cheap.

Requests are built before they are sent. The meaning of every reply is checked: its id must be one that was asked, and
its result must be that message. A reply that came before byte for byte is known by a look-up.
"""
