"""What can be proposed: decisions, architectures, spaces, and the specs of networks. Loads no torch."""

from search_spaces.accel_nasbench import accel_nasbench
from search_spaces.architecture import Architecture
from search_spaces.block import OPS, BlockSpec, Op, register_op
from search_spaces.decision import Choice, Decision
from search_spaces.errors import InputError, unknown
from search_spaces.listed import ListedSpace
from search_spaces.mbconv import StageChoices, StagedSpace
from search_spaces.mnasnet import efficientnet, mnasnet
from search_spaces.notation import from_notation, network_notation, stage_words, to_notation
from search_spaces.reference import REFERENCES, reference
from search_spaces.registry import SPACES, get_space
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec, StageSpec, StemSpec, read_spec

__all__ = [
    "OPS",
    "REFERENCES",
    "SPACES",
    "Architecture",
    "BlockSpec",
    "Choice",
    "Decision",
    "InputError",
    "ListedSpace",
    "NetworkSpec",
    "NotInSpaceError",
    "Op",
    "SearchSpace",
    "StageChoices",
    "StageSpec",
    "StagedSpace",
    "StemSpec",
    "accel_nasbench",
    "efficientnet",
    "from_notation",
    "get_space",
    "mnasnet",
    "network_notation",
    "read_spec",
    "reference",
    "register_op",
    "stage_words",
    "to_notation",
    "unknown",
]
