"""Files and batches of tenants, on a disk that the routers of a machine share: how they come, are
found, and go. Knows nothing of how a batch is run. Start at `storage.py`.
"""
