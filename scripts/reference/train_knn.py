#!/usr/bin/env python3
"""Oracle for kNN, leave one out: a plain loop over samples, in double precision.

usage: train_knn.py OUT.npz
Keys: <case>/{features,labels,top1,top5}.
"""
import sys
import numpy as np
import torch

torch.manual_seed(3)
out = {}


def knn(features, labels, k, temperature):
    features = torch.nn.functional.normalize(features, dim=-1)
    n, classes = len(labels), int(labels.max()) + 1
    hits = np.zeros(2)
    for i in range(n):
        similarity = features @ features[i]
        similarity[i] = -float("inf")
        values, nearest = similarity.topk(min(k, n - 1))
        votes = torch.zeros(classes, dtype=features.dtype)
        for value, j in zip(values, nearest):
            votes[labels[j]] += (value / temperature).exp()
        order = [j for j in votes.argsort(descending=True)[:5] if votes[j] > 0]
        hits += [float(order[0] == labels[i]), float(labels[i] in order)]
    return hits * 100 / n


def case(name, n, classes, spread):
    labels = torch.arange(n) % classes
    centers = torch.randn(classes, 16)
    features = (centers[labels] + spread * torch.randn(n, 16)).double()
    top1, top5 = knn(features.float().double(), labels, 20, 0.07)
    out[f"{name}/features"], out[f"{name}/labels"] = features.float().numpy(), labels.numpy()
    out[f"{name}/top1"], out[f"{name}/top5"] = np.array(top1), np.array(top5)


case("many", 1300, 11, 1.5)
case("fewer_samples_than_k", 12, 3, 1.0)
case("fewer_classes_than_five", 200, 3, 2.0)
np.savez(sys.argv[1], **out)
