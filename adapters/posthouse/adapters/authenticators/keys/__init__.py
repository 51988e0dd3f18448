"""The keys that verify signatures: read from files and URLs, kept, and read again. It may not know tokens."""
