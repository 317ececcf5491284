"""The model exported by optimum-onnx and fused by the optimiser of onnxruntime.transformers, as its level O2 has it. FOLDER OUT"""
import json
import sys

from optimum.exporters.onnx import main_export

with open(sys.argv[1] + "/config.json") as f:
    is_clip = json.load(f)["model_type"] == "clip"
task = "zero-shot-image-classification" if is_clip else "text-classification"
main_export(sys.argv[1], output=sys.argv[2], task=task, optimize="O2", do_validation=False)
