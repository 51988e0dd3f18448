"""The users, tokens and sessions that commands are about. Nothing here knows a subcommand."""
