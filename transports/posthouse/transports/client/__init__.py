"""The client's side of HTTP and WebSocket: for the command line, the tests and the simulator.

The server's code never imports it.
"""
