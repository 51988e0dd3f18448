"""What a call costs: here, at the floor of the machine, and in programs that do something similar.

`servers/` holds the servers, each in a process of its own; `load/` the clients that drive them; `measurements/` one
question a file; `report/` the document. Nothing of the project imports this folder but its tests.
"""
