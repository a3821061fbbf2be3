"""Makes the helpers beside the tests importable, and torch quick: no threads, no trace in logs."""

import logging
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)
logging.getLogger("torch.__trace").propagate = False
