"""Sessions with connections here: the state of a user outlives its connections, which attach and leave.

The store keeps the sessions; this folder knows which connections belong to which of them, and when one ends here.
It may not know methods, calls, or who asks for what.
"""
