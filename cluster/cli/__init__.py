"""The command line, a command for each thing that people do. Start at `main.py`, then
`commands.py`.
"""
