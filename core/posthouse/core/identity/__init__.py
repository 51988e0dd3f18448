"""Who is calling: credentials are verified, and connections get their identities.

It knows connections by their records. It may not know calls, nor close a connection that is open: it notes why.
"""
