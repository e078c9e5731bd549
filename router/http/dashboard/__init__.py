"""The page at /dashboard: its files, and the feed of what it shows.

`page.py` has the files, which lie in `assets/`; `numbers.py` what a router knows; `feed.py` tells
it once a second to all who watch.
"""
