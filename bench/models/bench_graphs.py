"""torch_geometric: a network on graphs; the batch size counts graphs."""

import pytest
import torch
from torch import nn

from breakeven import Workload

INSTALL = "needs torch_geometric: pip install torch_geometric"


class GraphClassifier(nn.Module):
    """Four convolutions on a graph, the mean over its nodes, 10 classes."""

    def __init__(self, geometric, features, hidden):
        super().__init__()
        self.convolutions = geometric.nn.GIN(features, hidden, num_layers=4)
        self.pool = geometric.nn.MeanAggregation()
        self.head = nn.Linear(hidden, 10)

    def forward(self, graphs):
        nodes = self.convolutions(graphs.x, graphs.edge_index)
        return self.head(self.pool(nodes, graphs.batch, dim_size=graphs.num_graphs))


def graph(geometric, nodes, features):
    return geometric.data.Data(
        x=torch.randn(nodes, features),
        edge_index=torch.randint(nodes, (2, 4 * nodes)),
        y=torch.randint(10, (1,)),
    )


def gnn(batch_size, nodes, hidden):
    geometric = pytest.importorskip("torch_geometric", reason=INSTALL)
    graphs = geometric.data.Batch.from_data_list([graph(geometric, nodes, 32) for _ in range(batch_size)])
    return Workload(
        model=GraphClassifier(geometric, 32, hidden),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-4),
        inputs=graphs,
        targets=graphs.y,
    )


@pytest.mark.sweep("models", batch_size=[1, 4, 16], nodes=[64], hidden=[64])
def bench_gnn(train_benchmark, batch_size, nodes, hidden):
    train_benchmark(lambda: gnn(batch_size, nodes, hidden))
