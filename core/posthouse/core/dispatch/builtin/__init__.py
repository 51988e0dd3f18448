"""The methods that every gateway answers by itself, at once, without a handler: one file per prefix.

Each file declares its methods and the types of their results. They read the tables, push and cancel; they start
nothing, and may not know how a text came or how its reply is sent.
"""
