"""Whether all processes of a run live, and what is done about one that does not.

Ray and Serve start most of theirs again by themselves; what hangs they wait for, and the death of
some is the end of Ray. Stands on `environment`. Start at `decision.py`.
"""
