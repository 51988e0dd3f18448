"""External operations: everything that only the outside can do, such as to verify a password.

One mechanism for all of them. It may not know what an operation is for, nor connections and calls.
"""
