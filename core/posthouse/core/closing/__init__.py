"""How connections end: closing them, enforcing limits after each input, the timetable of a shut-down.

The highest folder below the gateway: it may call every table, and no table may call it.
"""
