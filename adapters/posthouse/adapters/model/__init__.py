"""The reference model: the promises of a gateway about connections and calls, kept in plain dictionaries.

It parses JSON-RPC by itself. It must not use the tables, codecs or decoders of the gateway that it checks.
"""
