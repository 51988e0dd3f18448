"""The reference model: what a gateway promises about connections and calls, in plain dictionaries.

It reads JSON-RPC by itself and may not use the tables, codecs or decoders that it is compared with.
"""
