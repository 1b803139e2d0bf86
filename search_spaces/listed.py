"""A space that lists its networks: one decision, which of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.decision import Decision
from search_spaces.document import check_fields, check_schema
from search_spaces.errors import InputError, shown
from search_spaces.quoting import check_name
from search_spaces.space import NotInSpaceError, SearchSpace
from search_spaces.spec import NetworkSpec

SCHEMA_VERSION = 1


class ListedSpace(SearchSpace):
    """Some networks, whatever they are: the candidates of a scaling study, say.

    Args:
        name: of the space.
        networks: by label; at least one.
        about: what else is known of an entry, as plain data by its label; the label is for people only.

    Raises:
        InputError: a label or the name is none, or `about` names an entry that isn't there.
    """

    def __init__(
        self,
        name: str,
        networks: Mapping[str, NetworkSpec],
        about: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        for label in networks:
            check_name(f"space {name!r}", "network", label)
        self.networks = dict(networks)
        self.about = {label: dict(row) for label, row in (about or {}).items()}
        if odd := set(self.about) - set(self.networks):
            raise InputError(f"space {name!r}: about {sorted(odd)[0]!r}: no network of that label")
        super().__init__(name, (Decision("network", tuple(self.networks)),))

    def decode(self, architecture: Architecture) -> NetworkSpec:
        """The network in that place of the list."""
        self.check(architecture)
        return list(self.networks.values())[architecture[0]]

    def encode(self, spec: NetworkSpec) -> Architecture:
        """The place of an equal network."""
        for index, network in enumerate(self.networks.values()):
            if network.digest == spec.digest:
                return Architecture((index,))
        raise NotInSpaceError(f"network {spec.name!r} is none of the list {self.name!r}")

    def to_document(self) -> dict[str, Any]:
        """The space as plain data, readable again by `from_document`."""
        networks = {label: network.to_document() for label, network in self.networks.items()}
        document = {"schema": SCHEMA_VERSION, "space": self.name, "networks": networks}
        return document | ({"about": self.about} if self.about else {})

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str = "space") -> ListedSpace:
        """The space in a document; raises `InputError` for what is none."""
        check_schema(document, where, SCHEMA_VERSION)
        fields = check_fields(document, where, ("schema", "space", "networks"), ("about",))
        rows = fields["networks"]
        if not isinstance(rows, dict) or not rows:
            raise InputError(f"{where}: networks {shown(rows)}: expected a mapping of at least one")
        networks = {
            str(label): NetworkSpec.from_document(row, f"{where}: networks[{label}]")
            for label, row in rows.items()
        }
        about = fields.get("about", {})
        if not isinstance(about, dict) or not all(isinstance(row, dict) for row in about.values()):
            raise InputError(f"{where}: about {shown(about)}: expected a mapping of mappings")
        return cls(fields["space"], networks, about)
