"""The blocking client of `posthouse call`: from an address to a connection that carries JSON texts.

The codecs are those of `posthouse.transports.client`; this folder joins one to a stream of bytes. It does not know what
the JSON texts mean. Every failure is a `Failure` with a hint.
"""
