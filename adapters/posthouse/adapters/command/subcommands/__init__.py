"""The subcommands of `posthouse`: one file each, with a click command named `command`.

To add a subcommand, add its file here and its line to `SUBCOMMANDS` in `main.py`. Subcommands do not import each other.
"""
