"""Servers of other libraries, each as its documentation recommends, on uvloop and with the fastest parsers it takes.

None has limits or deadlines of its own making. Access logs are off. Each module has `serve`, which runs until the
process is ended.
"""
