"""Search with a training of one's own: any code that takes a spec and yields an accuracy per epoch.

python examples/own_function.py runs/own
"""

import sys

import torch
from sklearn.datasets import load_digits

import nas
from nas.network.builder import build


def evaluate(spec, seed, epochs):
    """Train on digits, yield the held-out accuracy after each epoch."""
    torch.manual_seed(seed)
    digits = load_digits()
    images, labels = torch.tensor(digits.images / 16).float()[:, None], torch.tensor(digits.target)
    # the published weight of a batch in BN's statistics, .01, is for thousands of steps: here they would lag
    model = build(spec.replace(bn_momentum=0.1), seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(1000).split(20):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            yield (model(images[1400:]).argmax(1) == labels[1400:]).float().mean().item()


evaluate.num_classes, evaluate.in_channels = 10, 1  # of the networks that are searched

if __name__ == "__main__":
    space = {"schema": 1, "space": "small", "network": {"resolution": 8}, "stages": [
        {"op": ["ds", "mbconv3"], "channels": [8, 16, 24], "repeats": [1, 2, 3]}]}  # fmt: skip
    run = nas.search(space, evaluate, epochs=3, costs="500K", trials=4, concurrent=2, out=sys.argv[1])
    print(run.best.accuracy, run.spec)
