"""A head of linear layers with a ReLU between them, over an embedding."""
import torch
from common import dump, fixture, trained


@fixture("score-head")
@torch.no_grad()
def score_head(folder):
    head = trained(torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(5, 1)))
    torch.save(head.state_dict(), folder + "/head.pth")
    dump(folder + "/request.json", {"options": {"activation": "relu"}})
    inputs = {"embedding": torch.randn(4, 7)}
    return {"item": (inputs, {"utility_logit": head(inputs["embedding"])[:, 0]})}
