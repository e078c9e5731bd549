"""What `bench/router.py` measures: routers in front of engines that cost next to nothing."""
