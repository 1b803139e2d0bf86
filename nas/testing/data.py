"""What every data set must hold; make a test of it by naming one.

class TestMine(DataContract):
    def make_data(self):
        return load_data("mine")
"""

from __future__ import annotations

import numpy as np
import pytest

from nas.data.dataset import ArraySplit, DataSet
from nas.network.builder import build
from search_spaces.spec import NetworkSpec, StageSpec


class DataContract:
    """Three splits with images of one kind and labels that go together; the same each time."""

    def make_data(self) -> DataSet:
        """The data set under test, loaded."""
        raise NotImplementedError

    @pytest.fixture
    def data(self) -> DataSet:
        """As `make_data`."""
        return self.make_data()

    def test_labels_count_from_zero_and_every_class_is_trained(self, data: DataSet) -> None:
        for split in (data.train, data.held_out, data.test):
            labels = np.asarray(split.labels)
            assert len(labels) == len(split) > 0
            assert set(labels.tolist()) <= set(range(data.num_classes))
        assert set(np.asarray(data.train.labels).tolist()) == set(range(data.num_classes))
        assert not data.classes or len(data.classes) == data.num_classes

    def test_images_are_of_one_kind(self, data: DataSet) -> None:
        assert len(data.mean) == len(data.std) == data.in_channels
        assert all(0 <= value <= 1 for value in data.mean)
        assert all(value > 0 for value in data.std)
        for split in (data.train, data.held_out, data.test):
            if isinstance(split, ArraySplit):
                assert split.images.dtype == np.uint8
                assert split.images.shape[:2] == (len(split), data.in_channels)
            else:
                assert split.content(0)

    def test_it_is_the_same_again(self, data: DataSet) -> None:
        again = self.make_data()
        assert again.digest == data.digest
        for split, other in ((data.train, again.train), (data.held_out, again.held_out)):
            assert np.array_equal(split.labels, other.labels)

    def test_a_network_takes_it(self, data: DataSet) -> None:
        import torch

        stages = (StageSpec("conv", 8, 3, 2),)
        spec = NetworkSpec("small", stages, num_classes=data.num_classes, in_channels=data.in_channels)
        images = torch.zeros(2, data.in_channels, data.resolution, data.resolution)
        assert build(spec, 0)(images).shape == (2, data.num_classes)
