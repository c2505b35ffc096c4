"""Other ways to train on the same files, each run as a program of its own by `bench/train.py`."""
