"""The OpenAPI description of our Structs.

Litestar's own plugin looks defaults up in a set, and so fails on defaults that hold a dict
(``Done()``); everything else here is as it does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.types import Empty
from litestar.typing import FieldDefinition

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator


class StructSchemas(OpenAPISchemaPlugin):
    """Describes ``msgspec.Struct`` classes, tagged unions of them included."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether this is one."""
        return not field_definition.is_union and field_definition.is_subclass_of(msgspec.Struct)

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """The schema of a Struct."""
        hints = field_definition.get_type_hints(include_extras=True, resolve_generics=True)
        struct = cast(
            "msgspec.inspect.StructType", msgspec.inspect.type_info(field_definition.type_)
        )
        fields: dict[str, FieldDefinition] = {
            field.encode_name: FieldDefinition.from_annotation(
                annotation=hints[field.name],
                name=field.encode_name,
                default=_default(field.default),
            )
            for field in struct.fields
        }
        required = [field.encode_name for field in struct.fields if field.required]
        if struct.tag_field:
            tag: Any = Literal[struct.tag]
            fields[struct.tag_field] = FieldDefinition.from_annotation(tag)
            required.append(struct.tag_field)
        return schema_creator.create_component_schema(
            field_definition, required=sorted(required), property_fields=fields
        )


def _default(value: Any) -> Any:
    plain = value is None or isinstance(value, bool | int | float | str)
    return value if plain else Empty
