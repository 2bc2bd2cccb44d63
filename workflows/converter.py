"""How arguments and answers become payloads of Temporal."""

from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter

from workflows.refusals import PlainRefusals

_PARTS = tuple(PydanticPayloadConverter().converters.values())


class SharedPayloadConverter(CompositePayloadConverter):
    """Pydantic's converter, whose parts exist once in a process.

    The SDK makes a converter for each workflow in its cache, and more for each workflow task. Each
    would keep what Pydantic has worked out of the types.
    """

    def __init__(self) -> None:
        super().__init__(*_PARTS)


DATA_CONVERTER = DataConverter(
    payload_converter_class=SharedPayloadConverter, failure_converter_class=PlainRefusals
)
"""The data converter of every client and worker."""
