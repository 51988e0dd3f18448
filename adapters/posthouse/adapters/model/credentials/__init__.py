"""Credentials as the model sees them: how they are read, who tries them, and how often that has failed.

It knows connections as records. It may not know what becomes of them.
"""
