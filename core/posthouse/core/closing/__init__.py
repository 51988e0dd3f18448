"""How things end: connections are closed, deadlines fall due, a shut-down runs its timetable.

The highest folder below the gateway: it may call every table, and no table calls it.
"""
