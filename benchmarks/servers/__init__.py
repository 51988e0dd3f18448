"""The servers under measurement, each alone in its process: ours, the floor, and the peers.

All have the methods `echo(message)`, which returns the message, and, where they broadcast, `spread(text)`, which sends
the notification `tick` with this text to every connection. They know nothing about who measures them.
"""
