"""Refusals: a refused update reaches people as a sentence, without a stack trace."""

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError

REFUSED = "Refused"


def refused(message: str) -> ApplicationError:
    """The error with which an update's validator refuses."""
    return ApplicationError(message, type=REFUSED, non_retryable=True)


class PlainRefusals(DefaultFailureConverter):
    """Leaves out the stack trace of a refusal: the Temporal UI would show it below the message."""

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Converts an exception."""
        super().to_failure(exception, payload_converter, failure)
        if failure.application_failure_info.type == REFUSED:
            failure.stack_trace = ""
