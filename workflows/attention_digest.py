"""AttentionDigest: every weekday morning, the cases and rosters that wait for a person."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from policy.mails import MailKind
    from workflows import steps
    from workflows.contract import ATTENTION_DIGEST

UNTIL_DONE = RetryPolicy(maximum_interval=timedelta(minutes=10))
TIMEOUT = timedelta(minutes=2)


@workflow.defn(name=ATTENTION_DIGEST)
class AttentionDigest:
    """Mails the Assister Resource Center a list with links; nothing where nothing waits."""

    @workflow.run
    async def run(self) -> int:
        """Returns how many cases and rosters were listed."""
        waiting: steps.Waiting = await workflow.execute_activity(
            steps.LIST_ATTENTION.name,
            result_type=steps.Waiting,
            retry_policy=UNTIL_DONE,
            start_to_close_timeout=TIMEOUT,
            summary="List what needs attention",
        )
        if waiting.needs:
            await workflow.execute_activity(
                steps.SEND_MAIL.name,
                steps.MailRequest(
                    key=workflow.info().workflow_id,
                    kind=MailKind.ATTENTION_DIGEST,
                    subject_id=workflow.info().workflow_id,
                    facts=waiting.needs,
                ),
                result_type=steps.Nothing,
                retry_policy=UNTIL_DONE,
                start_to_close_timeout=TIMEOUT,
                summary="Mail: attention_digest",
            )
        return len(waiting.needs)
