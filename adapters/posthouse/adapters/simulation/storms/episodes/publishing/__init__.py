"""Episodes of topics: clients subscribe, publish, read slowly, are cut off, and resume, also with wrong positions."""
