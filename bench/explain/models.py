# models.py resnet50|vit-b-32 OUT.onnx: a torchvision model of random seeded weights with one score, as ONNX (opset 17) with a batch of any size.
import sys, torch, torchvision


def make(name):
    torch.manual_seed(0)
    model = {"resnet50": torchvision.models.resnet50, "vit-b-32": torchvision.models.vit_b_32}[name](weights=None, num_classes=1)
    # torchvision starts the head of a ViT as zeros, with which every gradient would be 0.
    head = model.fc if name == "resnet50" else model.heads.head
    torch.nn.init.normal_(head.weight, std=0.02)
    return model.eval()


if __name__ == "__main__":
    name, out = sys.argv[1:]
    torch.onnx.export(make(name), (torch.randn(2, 3, 224, 224),), out, opset_version=17, input_names=["pixel_values"], output_names=["score"], dynamic_axes={"pixel_values": {0: "batch"}, "score": {0: "batch"}}, dynamo=False)
