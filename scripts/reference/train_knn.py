#!/usr/bin/env python3
"""Oracle for kNN, leave one out and by another split: a plain loop over samples, in double precision.

usage: train_knn.py OUT.npz
Keys: <case>/{features,labels,top1,top5}, two_splits/{top1,top5}, two_splits/{samples,others}/{features,labels}.
"""
import sys
import numpy as np
import torch

torch.manual_seed(3)
out = {}


def knn(features, labels, k, temperature, others=None, other_labels=None):
    """Without others each sample is classified by the rest."""
    features = torch.nn.functional.normalize(features, dim=-1)
    alone = others is None
    others = features if alone else torch.nn.functional.normalize(others, dim=-1)
    other_labels = labels if alone else other_labels
    classes = int(max(labels.max(), other_labels.max())) + 1
    hits = np.zeros(2)
    for i in range(len(labels)):
        similarity = others @ features[i]
        if alone:
            similarity[i] = -float("inf")
        values, nearest = similarity.topk(min(k, len(others) - alone))
        votes = torch.zeros(classes, dtype=features.dtype)
        for value, j in zip(values, nearest):
            votes[other_labels[j]] += (value / temperature).exp()
        order = [j for j in votes.argsort(descending=True)[:5] if votes[j] > 0]
        hits += [float(order[0] == labels[i]), float(labels[i] in order)]
    return hits * 100 / len(labels)


def case(name, n, classes, spread):
    labels = torch.arange(n) % classes
    centers = torch.randn(classes, 16)
    features = (centers[labels] + spread * torch.randn(n, 16)).double()
    top1, top5 = knn(features.float().double(), labels, 20, 0.07)
    out[f"{name}/features"], out[f"{name}/labels"] = features.float().numpy(), labels.numpy()
    out[f"{name}/top1"], out[f"{name}/top5"] = np.array(top1), np.array(top5)


def two_splits(n, m, classes, spread):
    centers = torch.randn(classes, 16)
    parts = {}
    for part, size in (("samples", n), ("others", m)):
        labels = torch.arange(size) % classes
        parts[part] = ((centers[labels] + spread * torch.randn(size, 16)).float(), labels)
        out[f"two_splits/{part}/features"], out[f"two_splits/{part}/labels"] = (x.numpy() for x in parts[part])
    (features, labels), (others, other_labels) = parts["samples"], parts["others"]
    found = knn(features.double(), labels, 20, 0.07, others.double(), other_labels)
    out["two_splits/top1"], out["two_splits/top5"] = map(np.array, found)


two_splits(700, 900, 13, 1.5)
case("many", 1300, 11, 1.5)
case("fewer_samples_than_k", 12, 3, 1.0)
case("fewer_classes_than_five", 200, 3, 2.0)
np.savez(sys.argv[1], **out)
