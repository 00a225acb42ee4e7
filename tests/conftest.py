"""Settings of the whole suite, before torch is imported."""

import os

# Tiny models on two busy cores: a second thread waits longer than it computes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test reaches the hub; those that speak of it replace its client.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
