"""What a service declares about its topics: their names, the rule of each, and which rule a name has.

No topic lives here, and nothing here knows who subscribes.
"""
