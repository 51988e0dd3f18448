"""What is measured: a module for each question, and a function in it that answers with figures.

Each function takes the number of rounds, and returns its questions by name. Contestants take turns within a round.
"""
