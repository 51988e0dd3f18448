"""One gateway and all codecs: which connection lives on which socket, and which bytes leave when.

It may not know sockets, tasks, clocks or the types of codecs: an adapter performs its actions, and codecs meet the
protocol `Codec`.
"""
