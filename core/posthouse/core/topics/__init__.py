"""Topics: what is published, what is kept of it, who is subscribed, and how it reaches them.

Nothing here knows methods or texts of peers. What is published is encoded once, whoever is subscribed.
"""
