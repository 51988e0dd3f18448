"""The scenes, by what they are about. They know the stage and the words of clients, not what is known of a course."""
