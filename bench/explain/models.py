# models.py resnet50|vit-b-32 OUT.onnx: a torchvision model of random seeded weights with one score, as ONNX (opset 17) with a batch of any size.
import sys, torch, torchvision
name, out = sys.argv[1:]
torch.manual_seed(0)
make = {"resnet50": torchvision.models.resnet50, "vit-b-32": torchvision.models.vit_b_32}[name]
model = make(weights=None, num_classes=1).eval()
torch.onnx.export(model, (torch.randn(2, 3, 224, 224),), out, opset_version=17, input_names=["pixel_values"], output_names=["score"], dynamic_axes={"pixel_values": {0: "batch"}, "score": {0: "batch"}}, dynamo=False)
