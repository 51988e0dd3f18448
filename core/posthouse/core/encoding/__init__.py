"""JSON values: conversion of users' types, an order for sets, and the depth and encoding of a text.

It may not know what a text means.
"""
