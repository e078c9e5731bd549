"""A step on a GPU: what is launched, over which memory.

Decisions are plain functions of numpy arrays and know no device. Start at `work_list.py`, which
says who attends to what.
"""
