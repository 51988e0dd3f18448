"""What outlives a connection: users, tokens, sessions and revocations, as rows, and the requests that change them.

The rules of the rows stand here once, for every store. This folder may not know who asks for a request, nor why, nor
how a store outside keeps its rows.
"""
