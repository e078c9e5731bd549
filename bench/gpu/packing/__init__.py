"""What the check carries, and of which source it is: made where the compilers are. Start with
`kit.py`."""
