"""The transports that simulated clients use, each as one class that turns texts into bytes and back.

This folder uses the codecs of the client's side. It does not know which calls the texts belong to.
"""
