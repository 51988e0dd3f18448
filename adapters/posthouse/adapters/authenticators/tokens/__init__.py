"""One JSON Web Token: its head, its signature, its claims. It may not know where keys come from, nor a connection."""
