"""Float models of usual sizes, with seeded random weights: models.py resnet50|bert-base OUT.onnx

Outputs are one score a row and the embedding that it is made of: of random weights, the error of a score is as large as its spread,
and only the many values of an embedding tell how much noise there is. Opset 14, inputs of fixed size but for the batch: what the
tracing exporter of torch writes."""
import inspect
import sys

import torch

OUTPUTS = ["score", "embedding"]
kind, out = sys.argv[1:]
torch.manual_seed(0)


def resnet50():
    from torchvision.models import resnet50

    model = resnet50(weights=None)
    model.fc = torch.nn.Identity()
    # Random weights with untouched statistics let activations grow from block to block, which no trained network does.
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        for _ in range(4):
            model(torch.nn.functional.interpolate(torch.randn(8, 3, 28, 28), size=224, mode="bicubic"))
    return Scored(model, 2048), {"pixel_values": torch.randn(2, 3, 224, 224)}


class FirstToken(torch.nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids, attention_mask):
        return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]


class Scored(torch.nn.Module):
    def __init__(self, tower, width):
        super().__init__()
        self.tower = tower
        self.head = torch.nn.Linear(width, 1)

    def forward(self, *inputs):
        embedding = self.tower(*inputs)
        return self.head(embedding), embedding


def bert_base():
    from transformers import BertConfig, BertModel

    encoder = BertModel(BertConfig(attn_implementation="eager"), add_pooling_layer=False)
    ids = torch.randint(1000, 2000, (2, 128))
    return Scored(FirstToken(encoder), encoder.config.hidden_size), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


model, inputs = {"resnet50": resnet50, "bert-base": bert_base}[kind]()
arguments = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
with torch.no_grad():
    torch.onnx.export(
        model.eval(),
        tuple(inputs.values()),
        out,
        opset_version=14,
        input_names=list(inputs),
        output_names=OUTPUTS,
        dynamic_axes={name: {0: "batch"} for name in [*inputs, *OUTPUTS]},
        **arguments,
    )
