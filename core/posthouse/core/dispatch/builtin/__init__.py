"""The methods that every gateway answers by itself, at once, without a handler: one file per prefix.

Each file declares its methods and their result types. They may read the tables, push and cancel. They may not know how
a text was received or how its reply is sent.
"""
