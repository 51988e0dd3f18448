"""The command `posthouse`: one file for each subcommand, and what they share.

Only this folder may read `sys.argv`, print to the terminal, or end the process.
"""
