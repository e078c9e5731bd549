"""What others may try on a cluster, each a function that tries it and says what it found.

In reading order: `house.py` (the cluster, and the clients' keys), `report.py` (what an attack is, and
the table), and then one file for each kind of attacker that SECURITY.md names.
"""
