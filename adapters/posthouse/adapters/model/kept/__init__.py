"""The model's picture of the store: its rows, as the requests and their outcomes leave them.

This folder must not use the rules, stores or tables of the product.
"""
