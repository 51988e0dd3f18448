"""How connections end: they are closed, limits are enforced after each input, a shut-down runs its timetable.

The highest folder below the gateway: it may call every table, and no table may call it.
"""
