"""One gateway and all codecs: which connection lives on which socket, and which bytes leave when.

It may not know sockets, tasks or clocks: an adapter performs its actions.
"""
