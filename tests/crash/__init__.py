"""Kill a process that writes to a store, again and again, and see that everything it has acknowledged is there.

`make crash` does it 300 times; the suite 20 times. Each round goes on with the file that the one before has left.
"""
