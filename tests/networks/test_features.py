import numpy as np
import torch
from torch import nn

from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at


def test_film_without_weights_is_no_conditioning():
    torch.manual_seed(0)
    film = EdgeConvFeatures(16, 2, 12, (4, 12), "film")
    plain = EdgeConvFeatures(16, 2, 12, (4, 12), "none")
    plain.load_state_dict({name: value for name, value in film.state_dict().items() if "film" not in name})
    graph = graph_at(torch.from_numpy(np.random.default_rng(0).random((60, 3))), film)
    relative = torch.full((60, 1), 0.5)
    torch.testing.assert_close(film(graph, relative), plain(graph, relative))
    for block in film.blocks:
        nn.init.normal_(block.film.weight)
    assert not torch.allclose(film(graph, relative), plain(graph, relative), atol=1e-2)


def test_pieces_in_the_cache_give_the_whole(monkeypatch):
    torch.manual_seed(0)
    features = EdgeConvFeatures(16, 2, 12, (4, 12), "film")
    graph = graph_at(torch.from_numpy(np.random.default_rng(0).random((60, 3))), features)
    relative = torch.rand(60, 1) + 0.5
    whole = features(graph, relative)
    monkeypatch.setattr("pcdenoise.networks.edgeconv.ROWS_IN_CACHE", 7)
    with torch.no_grad():
        torch.testing.assert_close(features(graph, relative), whole, rtol=1e-5, atol=1e-5)
