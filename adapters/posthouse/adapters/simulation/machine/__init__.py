"""A simulated machine for the real server, on a virtual clock. It implements `posthouse.adapters.system`.

Sockets and pipes behave as in a kernel, threads run one at a time, and the event loop never waits. A stream of choices
decides on faults, and on the order of threads. This folder does not know servers, clients or messages.
"""
