"""A simulated machine: what the real server touches, on a virtual clock. It implements `posthouse.adapters.system`.

Sockets and pipes behave as those of a kernel, threads run one at a time, and the event loop never waits. Its faults and
orders are drawn from a stream of choices. This folder does not know servers, clients or messages.
"""
