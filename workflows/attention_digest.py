"""AttentionDigest: every weekday morning, the cases and rosters that wait for a person."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from policy.mails import MailKind
    from workflows import steps
    from workflows.contract import ATTENTION_DIGEST


@workflow.defn(name=ATTENTION_DIGEST)
class AttentionDigest:
    """Mails the Assister Resource Center a list with links; sends nothing if nothing waits."""

    @workflow.run
    async def run(self) -> int:
        """Returns how many cases and rosters wait."""
        waiting: steps.Waiting = await workflow.execute_activity(
            steps.LIST_ATTENTION.name,
            result_type=steps.Waiting,
            retry_policy=steps.UNTIL_DONE,
            start_to_close_timeout=steps.LIST_ATTENTION.timeout,
            summary="List what needs attention",
        )
        if waiting.needs:
            await workflow.execute_activity(
                steps.SEND_MAIL.name,
                steps.MailRequest(
                    key=workflow.info().workflow_id,
                    kind=MailKind.ATTENTION_DIGEST,
                    subject_id=workflow.info().workflow_id,
                    facts=waiting.needs | ({steps.MORE: str(waiting.more)} if waiting.more else {}),
                ),
                task_queue=steps.SEND_MAIL.queue(workflow.info().task_queue),
                result_type=steps.SEND_MAIL.answer,
                retry_policy=steps.UNTIL_DONE,
                start_to_close_timeout=steps.SEND_MAIL.timeout,
                summary="Mail to the ARC: attention digest",
            )
        return len(waiting.needs) + waiting.more
