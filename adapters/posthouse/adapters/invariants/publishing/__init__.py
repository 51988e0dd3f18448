"""The facts of topics: their tables, and the contract of their delivery."""
