"""The machine that an engine runs on: its cores, its memory, its devices.

Imports nothing of the other rooms but configuration and errors.
"""
