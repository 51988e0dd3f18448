"""A store in one SQLite file. One thread writes, another one reads; both belong to one process at a time.

`store.py` has the queues, `writer.py` the group commit, `file.py` the file and its schema, `changes.py` and
`look_ups.py` the SQL of the requests, `columns.py` how rows are kept.
"""
