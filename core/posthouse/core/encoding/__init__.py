"""JSON values: conversion of users' types, an order for sets, and checks of a whole text (depth, UTF-8).

It may not know what a text means.
"""
