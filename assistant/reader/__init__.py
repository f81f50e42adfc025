"""A small reader trained here: which sentence answers a question, and whether any does."""
