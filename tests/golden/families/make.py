"""Makes the fixtures of the public families: tiny models of the published packages with random weights, laid out as they are published, with the
packages' own inputs and outputs. A second making differs from the first by rounding only.

    python3 make.py [NAME ...]     torch 2.15, torchvision 0.29, transformers 4.57.6, open_clip_torch 3.3, Pillow 13
"""
import importlib, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common

for file in sorted(os.listdir(common.HERE)):
    if file.endswith(".py") and file not in ("make.py", "common.py"):
        importlib.import_module(file[:-3])
common.run(sys.argv[1:])
