"""The command `posthouse`: the group in `main.py`, one file per subcommand in `subcommands/`, and the parts they share.

Only this folder may read `sys.argv`, print to the terminal, or end the process. `main.py` imports a subcommand only
when it runs, so a subcommand may import what it needs, and `posthouse --help` stays fast.
"""
