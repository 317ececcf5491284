# theirs.py resnet50|vit-b-32 NODES: integrated gradients by captum with the same model, nodes and rule, on two threads; prints
# {"seconds"} and the "sum" of all attributions.
import json, sys, time, torch
from captum.attr import IntegratedGradients
from models import make
name, nodes = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(2)
model = make(name)
x = torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)
explain = IntegratedGradients(model)
explain.attribute(x, target=0, n_steps=2, method="gausslegendre")
start = time.perf_counter()
found = explain.attribute(x, target=0, n_steps=nodes, method="gausslegendre", internal_batch_size=16)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "sum": found.double().sum().item(), "largest": found.abs().max().item()}))
