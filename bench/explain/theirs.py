# theirs.py resnet50|vit-b-32 NODES: integrated gradients by captum with the same model, nodes and rule, on two threads; prints {"seconds"}.
import json, sys, time, torch, torchvision
from captum.attr import IntegratedGradients
name, nodes = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(2)
torch.manual_seed(0)
make = {"resnet50": torchvision.models.resnet50, "vit-b-32": torchvision.models.vit_b_32}[name]
model = make(weights=None, num_classes=1).eval()
x = torch.linspace(-1, 1, 3 * 224 * 224).reshape(1, 3, 224, 224)
explain = IntegratedGradients(model)
explain.attribute(x, target=0, n_steps=2, method="gausslegendre")
start = time.perf_counter()
explain.attribute(x, target=0, n_steps=nodes, method="gausslegendre", internal_batch_size=16)
print(json.dumps({"seconds": time.perf_counter() - start}))
