"""The states that lifespans have opened, and the views of user code on them.

This folder does not know how a lifespan is run, nor event loops. The simulator uses it, too.
"""
