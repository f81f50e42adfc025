"""One module for each way a file is written: bytes → Loaded. The table of kinds is in index/load.py."""
